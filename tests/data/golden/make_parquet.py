"""Makes pictures.parquet in this folder with pyarrow, as the `datasets` library lays out a column of pictures: a struct of bytes and path,
an int64 label, snappy, small row groups, the feature description in the metadata. One row has no label (-1), as test splits have.
"""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

here = pathlib.Path(__file__).parent
WNIDS = ["n01675722", "n01694178", "n01697457"]
WORDS = ["banded gecko", "African chameleon, Chamaeleo chamaeleon", "African crocodile"]
FILES = ["yuv420.jpg", "gray.jpg", "rgb.png", "cmyk.jpg", "rotated.jpg", "palette.png", "yuv444.jpg"]

rows = [(i % 3, f"{WNIDS[i % 3]}_{90 - i}_{WNIDS[i % 3]}.JPEG", (here / f).read_bytes()) for i, f in enumerate(FILES)]
rows.insert(4, (-1, "ILSVRC2012_test_00000001.JPEG", (here / "gray.jpg").read_bytes()))
image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
table = pa.table({
    "image": pa.array([{"bytes": b, "path": p} for _, p, b in rows], type=image),
    "label": pa.array([label for label, _, _ in rows], type=pa.int64()),
})
features = {"image": {"_type": "Image"}, "label": {"names": WORDS, "_type": "ClassLabel"}}
table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
pq.write_table(table, here / "pictures.parquet", row_group_size=3, compression="snappy")
