"""Makes the small Parquet files in tables/ with pyarrow, and tables/listing.json: the class, name and SHA-256 (16 digits) of each row that
has a label, computed from the rows themselves. Codecs, page versions, dictionaries, row groups, column types and names vary.

Run with pyarrow 26.0.1 and Pillow.
"""

import hashlib
import io
import json
import pathlib
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

out = pathlib.Path(__file__).parent / "tables"
shutil.rmtree(out, ignore_errors=True)
out.mkdir()
rng = np.random.default_rng(1)


def jpeg(i, kind="JPEG"):
    data = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), i * 25, np.uint8) + rng.integers(0, 9, (4, 4, 3), np.uint8)).save(data, kind)
    return data.getvalue()


N = 6
PNGS = [jpeg(i, "PNG") for i in range(N)]
INTS = [2, 0, 10, 0, 2, 10]
NAMES = ["cat", "ant", "dog", "ant", "cat", "dog"]
listing = {}


def write(name, columns, labels, names=None, metadata=None, images=PNGS, **options):
    table = pa.table(columns)
    if metadata:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": metadata}})})
    pq.write_table(table, out / f"{name}.parquet", **options)
    names = names or [None] * N
    rows = [[str(c), n, hashlib.sha256(i).hexdigest()[:16]] for c, n, i in zip(labels, names, images) if c is not None]
    listing[name] = sorted(rows, key=str)


def struct(binary=None, paths=True):
    binary = binary or pa.binary()
    fields = [("bytes", binary)] + ([("path", pa.string())] if paths else [])
    rows = [{"bytes": b, "path": f"{i}.png"} for i, b in enumerate(PNGS)]
    return pa.array(rows, type=pa.struct(fields))


PATHS = [f"{i}.png" for i in range(N)]
numbers = pa.array(INTS, pa.int64())
for codec in ["none", "snappy", "gzip", "brotli", "lz4", "zstd"]:
    write(f"codec_{codec}", {"image": struct(), "label": numbers}, INTS, PATHS, compression=codec, row_group_size=4)
both = {"image": struct(), "label": numbers}
write("pages_v2", both, INTS, PATHS, data_page_version="2.0", compression="zstd", data_page_size=64)
write("no_dictionary", both, INTS, PATHS, use_dictionary=False)
write("checksums", both, INTS, PATHS, write_page_checksum=True)
write("delta", both, INTS, PATHS, use_dictionary=False, column_encoding={
    "label": "DELTA_BINARY_PACKED", "image.bytes": "DELTA_LENGTH_BYTE_ARRAY", "image.path": "DELTA_BYTE_ARRAY"})
write("split_streams", {"image": struct(), "label": numbers}, INTS, PATHS, use_dictionary=False, use_byte_stream_split=["label"])
write("large_binary", {"image": struct(pa.large_binary()), "label": numbers}, INTS, PATHS)
write("no_paths", {"image": struct(paths=False), "label": numbers}, INTS)
plain = pa.array(PNGS, pa.binary())
write("plain_binary", {"image": plain, "label": numbers}, INTS)
write("cifar10", {"img": struct(), "label": numbers}, INTS, PATHS)
write("webdataset", {"__key__": pa.array([f"k/{i}" for i in range(N)]), "__url__": pa.array(["u.tar"] * N), "jpg": struct(), "cls": numbers},
      INTS, PATHS)
write("file_name", {"file_name": pa.array(PATHS), "data": plain, "width": pa.array([4] * N), "target": numbers}, INTS, PATHS)
write("by_looking", {"bytes": plain, "uid": pa.array(["a", "b", "c", "d", "e", "f"]).dictionary_encode(), "width": pa.array([4] * N), "kind": pa.array(NAMES)}, NAMES)
write("only_strings", {"bytes": plain, "kind": pa.array(NAMES)}, NAMES)
for kind in [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.uint64(), pa.float32(), pa.float64()]:
    write(f"label_{kind}", {"image": struct(), "label": pa.array(INTS, kind)}, INTS, PATHS)
write("label_string", {"image": struct(), "label": pa.array(NAMES)}, NAMES, PATHS)
write("label_large_string", {"image": struct(), "label": pa.array(NAMES, pa.large_string())}, NAMES, PATHS)
write("label_dictionary", {"image": struct(), "label": pa.array(NAMES).dictionary_encode()}, NAMES, PATHS)
texts = ["2", "0", "10", "-1", "2.0", ""]
write("label_numbers_as_text", {"image": struct(), "label": pa.array(texts)}, [2, 0, 10, None, 2, None], PATHS)
holes = [2, None, 10, -1, 2, 0]
write("label_holes", {"image": struct(), "label": pa.array(holes, pa.int64())}, [2, None, 10, None, 2, 0], PATHS)
write("label_float_holes", {"image": struct(), "label": pa.array([2, float("nan"), 10, -1, None, 0], pa.float32())},
      [2, None, 10, None, None, 0], PATHS)
few = [0, 1, 2, 0, 1, 2]
words = ["zebra", "ant", "cat"]
write("class_label", {"image": struct(), "label": pa.array(few, pa.int64())}, [words[i] for i in few], PATHS,
      {"image": {"_type": "Image"}, "label": {"names": words, "_type": "ClassLabel"}})
write("class_label_fine", {"img": struct(), "fine_label": pa.array(few, pa.int64())}, [words[i] for i in few], PATHS,
      {"img": {"_type": "Image"}, "fine_label": {"names": words, "_type": "ClassLabel"}})
lists = pa.array([[1, 2]] * N, pa.list_(pa.int64()))
write("lists_beside", {"image": struct(), "boxes": lists, "label": numbers, "when": pa.array([0] * N, pa.timestamp("s"))}, INTS, PATHS)
fixed = [b + b"\0" * (200 - len(b)) for b in PNGS]
write("fixed_size", {"image": pa.array(fixed, pa.binary(200)), "label": numbers}, INTS, images=fixed)
same = pa.array([{"bytes": b, "path": "image.png"} for b in PNGS], type=pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
write("same_paths", {"image": same, "label": numbers}, INTS)
write("file_names_repeat", {"data": plain, "file_name": pa.array(["a.png"] * N), "label": numbers}, INTS)
# Those that cannot be decided or used.
none = [None] * N
write("cifar100", {"img": struct(), "fine_label": numbers, "coarse_label": pa.array(few)}, none)
write("two_images", {"image": struct(), "mask": struct(), "label": numbers}, none)
write("no_images", {"text": pa.array(NAMES), "label": numbers}, none)
write("no_labels", {"image": struct(), "id": pa.array(range(N))}, none)
write("label_bool", {"image": struct(), "label": pa.array([True, False] * 3)}, none)
write("label_fractions", {"image": struct(), "label": pa.array([0.5] * N)}, none)
write("label_dates", {"image": struct(), "label": pa.array([0] * N, pa.date32())}, none)
write("label_lists", {"image": struct(), "label": lists}, none)
# Later: numbers in other forms, columns of splits, labels that are no classes.
for kind in [pa.float16(), pa.decimal128(5, 2), pa.decimal128(30, 0), pa.decimal256(60, 2)]:
    halves = np.array(INTS, np.float16) if kind == pa.float16() else INTS
    write(f"label_{str(kind).replace('(', '_').replace(', ', '_').rstrip(')')}", {"image": struct(), "label": pa.array(halves, kind)}, INTS, PATHS)
write("label_decimal_integer", {"image": struct(), "label": pa.array(INTS, pa.decimal128(5, 1))}, INTS, PATHS, store_decimal_as_integer=True)
write("label_dictionary_numbers", {"image": struct(), "label": numbers.dictionary_encode()}, INTS, PATHS)
splits = ["train", "train", "validation", "Val", "test", "train"]
of_train = [c if s == "train" else None for c, s in zip(INTS, splits)]
write("split_words", {"image": struct(), "label": numbers, "split": pa.array(splits)}, of_train, PATHS)
write("split_unnamed", {"image": struct(), "label": numbers, "part": pa.array(splits).dictionary_encode()}, of_train, PATHS)
write("split_other_words", {"image": struct(), "label": numbers, "subset": pa.array(["extra", None, "val", "val", "test", "train"])},
      [None] * 5 + INTS[5:], PATHS)
write("split_flag", {"image": struct(), "label": numbers, "is_valid": pa.array([s != "train" for s in splits])}, of_train, PATHS)
write("split_numbers", {"image": struct(), "label": numbers, "split": pa.array([0, 0, 1, 1, 2, 0])}, INTS, PATHS)
write("class_label_reordered", {"image": struct(), "label": pa.array(few, pa.int64())}, none, PATHS,
      {"image": {"_type": "Image"}, "label": {"names": words[::-1], "_type": "ClassLabel"}})
write("label_half_fractions", {"image": struct(), "label": pa.array(np.array([0, 0.5] * 3, np.float16))}, none)
write("label_decimal_fractions", {"image": struct(), "label": pa.array([0, 1.5] * 3, pa.float64()).cast(pa.decimal128(5, 2))}, none)
write("label_uint32_large", {"image": struct(), "label": pa.array([2**32 - 1] * N, pa.uint32())}, none)
write("label_all_different", {"bytes": pa.array(PNGS * 10), "label": pa.array([f"id{i}" for i in range(10 * N)])}, none)
(out / "listing.json").write_text(json.dumps(listing, indent=0) + "\n")
print(len(listing), sum(p.stat().st_size for p in out.glob("*")))
