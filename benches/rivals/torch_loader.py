"""What `imagenet-engine bench loader` competes with: torchvision's ImageFolder and DataLoader over the same pictures.

    python benches/rivals/torch_loader.py FOLDER [--workers 0] [--batch-size 32] [--crop-size 224] [--repeat 3] [--decode-only]

Prints JSON: pictures per second of decode, RandomResizedCrop, flip, ToTensor and Normalize (or of the decode alone), by the clock and by
CPU time (of this process and its workers). The torch library's threads are held to one, so that a core's second is one core's.
"""
import torch
import torchvision
from torchvision.datasets import ImageFolder

from measure import flags, of_training, tell


def epochs(data, a):
    """One epoch of `data` by a DataLoader, as often as it is called."""
    def an_epoch():
        loader = torch.utils.data.DataLoader(data, a.batch_size, shuffle=not isinstance(data, torch.utils.data.IterableDataset),
                                             num_workers=a.workers, collate_fn=list if a.decode_only else None)
        return sum(len(batch) if a.decode_only else len(batch[1]) for batch in loader)  # joins the workers, whose time then counts

    return an_epoch


def what(a):
    """What was done, and by which versions."""
    return {"what": "decode" if a.decode_only else "decode, crop, flip, normalise", "torch": torch.__version__,
            "torchvision": torchvision.__version__}


def main():
    a = flags().parse_args()
    torch.set_num_threads(1)
    # ImageFolder's own loader has decoded the picture to RGB by then.
    data = ImageFolder(a.folder, transform=(lambda image: image.size) if a.decode_only else of_training(a.crop_size))
    tell(epochs(data, a), a.repeat, **what(a))


if __name__ == "__main__":
    main()
