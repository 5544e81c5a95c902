"""Grain (JAX's loader) over the work of bare_loop.py: a shuffled MapDataset, random_map and batch, in this process without threads.

    python benches/rivals/grain_loader.py FOLDER --by pillow|opencv [--from raw|jpeg] [--crop-size 224] [--repeat 3]
"""
import random

import grain
import numpy as np

from bare_loop import parser, work
from measure import tell


def main():
    a = parser().parse_args()
    versions, items, write = work(a)
    epochs = 0

    class Augment(grain.transforms.RandomMap):
        def random_map(self, item, rng):
            place = np.empty((a.crop_size, 3 * a.crop_size), np.float32)
            write(item, random.Random(int(rng.integers(1 << 62))), place)
            return place

    def an_epoch():
        nonlocal epochs
        epochs += 1
        data = grain.MapDataset.source(range(len(items))).seed(epochs).shuffle().map(items.__getitem__).random_map(Augment())
        data = data.batch(a.batch_size).to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
        return sum(len(batch) for batch in data)

    tell(an_epoch, a.repeat, what=f"{a.source} to f32 by Grain and {a.by}", grain=grain.__version__, **versions)


if __name__ == "__main__":
    main()
