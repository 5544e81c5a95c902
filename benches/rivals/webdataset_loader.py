"""What `imagenet-engine bench loader` competes with: WebDataset over tars of the same pictures.

    python benches/rivals/webdataset_loader.py FOLDER [--workers 0] [--batch-size 32] [--crop-size 224] [--repeat 3] [--decode-only]

FOLDER is an ImageFolder tree; its JPEG files are put into one tar first. Prints JSON as torch_loader.py does, for the same work.
"""
import io
import tarfile
import tempfile
from pathlib import Path

import torch
import webdataset
from torchvision.datasets import ImageFolder

from measure import flags, of_training, tell
from torch_loader import epochs, what


def write(folder, path):
    with tarfile.open(path, "w") as tar:
        for i, (name, label) in enumerate(ImageFolder(folder).samples):
            for end, content in ((".jpg", Path(name).read_bytes()), (".cls", str(label).encode())):
                info = tarfile.TarInfo(f"{i:08d}{end}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def main():
    a = flags().parse_args()
    torch.set_num_threads(1)
    transform = (lambda image: image.size) if a.decode_only else of_training(a.crop_size)
    with tempfile.TemporaryDirectory() as tmp:
        tar = str(Path(tmp) / "pictures.tar")
        write(a.folder, tar)
        data = webdataset.WebDataset(tar, shardshuffle=False).shuffle(100).decode("pilrgb").to_tuple("jpg", "cls").map_tuple(transform, int)
        tell(epochs(data, a), a.repeat, webdataset=webdataset.__version__, **what(a))


if __name__ == "__main__":
    main()
