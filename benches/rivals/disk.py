"""What a disk gives to `imagenet-engine bench loader`: reads around the page cache (O_DIRECT), from end to end and at random.

    python3 benches/rivals/disk.py FILE [--bytes 196608] [--threads 1 2 4 8]

Prints one line a way of reading: reads of --bytes a second (by default a picture of 256x256), GB/s, and reads a second of CPU time.
"""
import argparse
import mmap
import os
import random
import threading
import time

from measure import cpu_seconds


def measure(path, size, offsets, threads):
    def work(mine):
        fd, room = os.open(path, os.O_RDONLY | os.O_DIRECT), memoryview(mmap.mmap(-1, size))
        for offset in mine:
            os.preadv(fd, [room], offset)
        os.close(fd)

    start, cpu = time.perf_counter(), cpu_seconds()
    all_of_them = [threading.Thread(target=work, args=(offsets[k::threads],)) for k in range(threads)]
    for thread in all_of_them:
        thread.start()
    for thread in all_of_them:
        thread.join()
    return time.perf_counter() - start, cpu_seconds() - cpu


def main():
    p = argparse.ArgumentParser()
    p.add_argument("file")
    p.add_argument("--bytes", type=int, default=196608)
    p.add_argument("--threads", type=int, nargs="*", default=[1, 2, 4, 8])
    a = p.parse_args()
    length = os.path.getsize(a.file)

    def line(what, size, offsets, threads):
        seconds, cpu = measure(a.file, size, offsets, threads)
        of_a_picture = len(offsets) * size / a.bytes
        print(f"disk, {what}: {of_a_picture / seconds:.0f} pictures/s, {len(offsets) * size / seconds / 1e9:.2f} GB/s, "
              f"{of_a_picture / cpu:.0f} a core's second")

    large = 8 << 20
    line("from end to end, 8 MB at a time", large, list(range(0, length - large + 1, large)), 1)
    offsets = list(range(0, length - a.bytes + 1, a.bytes))
    for threads in a.threads:
        random.Random(threads).shuffle(offsets)
        line(f"at random, {threads} threads", a.bytes, offsets, threads)


main()
