"""Three sets of MedMNIST, 28 px."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kaxis.sources.info import Archive, ImageSet, SourceInfo

if TYPE_CHECKING:
    from kaxis.sources.info import Read

__all__ = ["SETS"]

PATHMNIST = tuple(
    """adipose background debris lymphocytes mucus smooth_muscle normal_colon_mucosa cancer-associated_stroma
    colorectal_adenocarcinoma_epithelium""".split()
)

DERMAMNIST = tuple(
    """actinic_keratoses_and_intraepithelial_carcinoma basal_cell_carcinoma benign_keratosis-like_lesions dermatofibroma
    melanoma melanocytic_nevi vascular_lesions""".split()
)

BLOODMNIST = tuple(
    "basophil eosinophil erythroblast immature_granulocytes lymphocyte monocyte neutrophil platelet".split()
)


def _set(info: SourceInfo, n: int, md5: str, names: tuple[str, ...]) -> ImageSet:
    def read(folder: Path, archive: Archive) -> Read:
        from kaxis.sources import readers

        ((path, _),) = archive.images(folder)
        pixels, y, n_train = readers.npz(path)
        return pixels, {"fine": y}, n_train, {"fine": names}

    files: dict[str, tuple[int, str | None]] = {f"{info.name}.npz": (n, md5)}
    return ImageSet(info, Archive("https://zenodo.org/records/10519652/files/", "", "medmnist", files, {}), read)


SETS = (
    _set(
        SourceInfo(
            "pathmnist", {"fine": 9}, "PathMNIST, colour, 28 px with a border", 32, 89_996, 7_180, "CC BY 4.0", 196
        ),
        107_180,
        "a8b06965200029087d5bd730944a56c1",
        PATHMNIST,
    ),
    _set(
        SourceInfo(
            "dermamnist", {"fine": 7}, "DermaMNIST, colour, 28 px with a border", 32, 7_007, 2_005, "CC BY-NC 4.0", 19
        ),
        10_015,
        "0744692d530f8e62ec473284d019b0c7",
        DERMAMNIST,
    ),
    _set(
        SourceInfo(
            "bloodmnist", {"fine": 8}, "BloodMNIST, colour, 28 px with a border", 32, 11_959, 3_421, "CC BY 4.0", 34
        ),
        17_092,
        "7053d0359d879ad8a5505303e11de1dc",
        BLOODMNIST,
    ),
)
