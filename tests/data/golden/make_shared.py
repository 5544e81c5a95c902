"""SHA-256 of the RGB bytes that Pillow 13.0.0 (libjpeg-turbo 3.1) makes of real pictures: python make_shared.py FOLDER > shared.sha256"""

import glob
import hashlib
import os
import sys

from PIL import Image

os.chdir(sys.argv[1])
Image.MAX_IMAGE_PIXELS = 64_000_000
for path in sorted(glob.glob("photos/*/*") + glob.glob("awkward/*") + sorted(glob.glob("tiny/val/*/*"))[::5]):
    try:
        image = Image.open(path)
        if image.format in ("JPEG", "PNG"):
            print(f"{hashlib.sha256(image.convert('RGB').tobytes()).hexdigest()}  {path}")
    except Exception:  # the files that are bad on purpose
        pass
