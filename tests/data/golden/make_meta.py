"""Makes meta.mat in this folder: the devkit's file in small, written by SciPy (any version with scipy.io), compressed as the original is.

Six classes whose ILSVRC2012_ID is not the rank of their WordNet id, and two groups above them, which are no classes.
"""

import pathlib

import numpy as np
import scipy.io

CLASSES = {
    "n01740131": "night snake, Hypsiglena torquata",
    "n01675722": "banded gecko",
    "n01698640": "American alligator, Alligator mississipiensis",
    "n01694178": "African chameleon, Chamaeleo chamaeleon",
    "n01739381": "vine snake",
    "n01697457": "African crocodile, Nile crocodile, Crocodylus niloticus",
}
GROUPS = {"n01661091": "reptile, reptilian", "n00001740": "entité"}

fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images"]
rows = np.zeros((len(CLASSES) + len(GROUPS), 1), dtype=[(f, object) for f in fields])
for i, (wnid, words) in enumerate([*CLASSES.items(), *GROUPS.items()]):
    group = i >= len(CLASSES)
    children = np.arange(1, 4, dtype=np.float64) if group else np.zeros((0, 0))
    rows[i, 0] = (float(i + 1), wnid, words, "a gloss", float(3 * group), children, float(group), float(1300 * (not group)))
scipy.io.savemat(pathlib.Path(__file__).parent / "meta.mat", {"other": np.eye(2), "synsets": rows}, do_compression=True)
