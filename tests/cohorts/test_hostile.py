"""Releases that mean harm: refused with the row that is wrong, or without effect."""

import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian

from companion.cohorts.errors import CohortError, ImageError
from companion.cohorts.importing.image_files import FrameOptions, read_frame
from companion.cohorts.importing.release import ImportOptions
from companion.cohorts.registry import build
from companion.cohorts.releases.chexpert import CheXpertOptions
from companion.cohorts.releases.folder import FolderOptions
from companion.cohorts.releases.medmnist import MedMnistOptions
from companion.cohorts.releases.nih import NihOptions
from companion.cohorts.releases.padchest import PadChestOptions
from tests.cohorts import releases
from tests.cohorts.releases import Source, assert_nothing_left, picture
from tests.cohorts.variants.dicom import write_dicom
from tests.payload import Payload

# Paths


@pytest.mark.parametrize(
    ("name", "table", "column", "path"),
    [
        ("padchest", "PADCHEST*.csv", "ImageID", "../../x.png"),
        ("padchest", "PADCHEST*.csv", "ImageID", "/etc/passwd"),
        ("chexpert", "train.csv", "Path", "CheXpert-v1.0/train/../../../x.jpg"),
        ("embed", "EMBED_OpenData_metadata*.csv", "anon_dicom_path", "/a/cohort_1/../../../x"),
        ("rsna", "stage_2_train_labels.csv", "patientId", "../../x"),
        ("vindr", "breast-level_annotations.csv", "study_id", "../.."),
        ("nih", "Data_Entry_2017_v2020.csv", "Image Index", "../00000001_000.png"),
    ],
)
def test_forged_paths_in_a_release(name, table, column, path, copied, tmp_path):
    root = copied(name)
    (file,) = root.rglob(table)
    content = releases.lines(file)
    place = content[0].index(column)
    first = content[1][place]
    for line in content[1:]:
        line[place] = path if line[place] == first else line[place]
    releases.save(file, content)
    for other in root.glob("*.json"):  # RSNA's list names the images once more
        other.write_text(other.read_text().replace(first, path))
    said = rf"{file.name}, row \d+: ((path|image) .* leaves|path .* not as pub)"
    with pytest.raises(CohortError, match=said):
        build(releases.options(name), root, tmp_path / "cohort")
    assert_nothing_left(tmp_path / "cohort")


@pytest.mark.parametrize(
    ("name", "places", "whole_folders"),
    [
        ("padchest", "**/*.png", False),
        ("chexpert", "**/*.jpg", False),
        ("rsna", "**/*.dcm", False),
        ("embed", "**/*.dcm", True),
        ("vindr", "**/*.dicom", False),
        ("nih", "images/*.png", True),
        ("mini-mias", "*.pgm", False),
        ("folder", "**/*.png", False),
    ],
)
def test_links_out_of_a_release(name, places, whole_folders, copied, tmp_path):
    """All images are led out, as not every one of them is imported."""
    root, outside = copied(name), tmp_path / "outside"
    outside.mkdir()
    images = list(root.glob(places))
    for i, path in enumerate({image.parent for image in images} if whole_folders else images):
        path.rename(outside / str(i))
        path.symlink_to(outside / str(i))
    with pytest.raises(CohortError, match=r"row \d+: path .* leaves the data root"):
        build(releases.options(name), root, tmp_path / "cohort")
    assert_nothing_left(tmp_path / "cohort")


def test_an_archive_that_is_a_link_out(copied, tmp_path: Path) -> None:
    root = copied("medmnist")
    (root / "pneumoniamnist.npz").rename(tmp_path / "there.npz")
    (root / "pneumoniamnist.npz").symlink_to(tmp_path / "there.npz")
    with pytest.raises(CohortError, match="lies outside the data root"):
        build(MedMnistOptions(size=12), root, tmp_path / "cohort")


def test_a_link_within_the_data_root_is_followed(source: Source, tmp_path: Path) -> None:
    (source.root / "img").rename(source.root / "real")
    (source.root / "img").symlink_to("real")
    assert len(source.build(tmp_path / "cohort")) == 24


@pytest.mark.parametrize(
    "options",
    [
        FolderOptions(manifest="../table.csv"),
        NihOptions(csv="../table.csv"),
        CheXpertOptions(csv="../table.csv"),
        PadChestOptions(csv="../table.csv"),
    ],
    ids=lambda options: options.source,
)
def test_options_cannot_name_a_file_outside_the_data_root(
    options: ImportOptions, source: Source, tmp_path: Path
) -> None:
    source.write_manifest()
    (source.root / "manifest.csv").rename(tmp_path / "table.csv")
    with pytest.raises(CohortError, match="lies outside the data root"):
        build(options, source.root, tmp_path / "cohort")


# Names


def test_names_that_differ_in_case_only(source: Source, tmp_path: Path) -> None:
    for place, name in ((2, "img/A.png"), (3, "img/a.png")):
        (source.root / source.rows[place]["path"]).rename(source.root / name)
        source.rows[place]["path"] = name
    cohort = source.build(tmp_path / "cohort")
    assert list(cohort.table["image_id"][2:4]) == ["img/A.png", "img/a.png"]
    assert (cohort.images[2] != cohort.images[3]).any()
    (source.root / "img/a.png").unlink()  # as on a disk that takes both names for one
    os.link(source.root / "img/A.png", source.root / "img/a.png")
    said = r"row 5: source_path 'img/a\.png' is the same file as 'img/A\.png'"
    with pytest.raises(CohortError, match=said):
        source.build(tmp_path / "again")


# Bombs


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_000, 60_000])
@pytest.mark.parametrize("kind", ["PNG", "PGM"])
def test_an_image_that_claims_more_pixels_than_memory(tmp_path: Path, kind: str, side: int) -> None:
    file = tmp_path / "bomb"
    Image.fromarray(picture(0)).save(file, "PNG")
    content = bytearray(file.read_bytes())
    content[16:24] = struct.pack(">II", side, side)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))  # of the header
    file.write_bytes(content if kind == "PNG" else b"P5 %d %d 255\n" % (side, side) + bytes(100))
    with pytest.raises(ImageError, match=r"Bomb|claims \d+ x \d+ pixels"):
        read_frame(file, FrameOptions())


def test_a_dicom_that_is_deflated_as_a_whole_is_not_unpacked(tmp_path, monkeypatch):
    path = write_dicom(tmp_path / "a.dcm", np.arange(64, dtype=np.uint8).reshape(8, 8))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    monkeypatch.setattr(pydicom, "dcmread", lambda _: pytest.fail("was unpacked"))
    with pytest.raises(ImageError, match="'Deflated Explicit VR Little Endian', of any size"):
        read_frame(path, FrameOptions())


# Code


def test_the_payload_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "proof")))
    assert (tmp_path / "proof").exists()


@pytest.mark.parametrize("suffix", ["npy", "pt", "png"])
def test_a_pickle_among_the_images_is_not_run(source: Source, tmp_path: Path, suffix: str) -> None:
    proof = tmp_path / "proof"
    name = f"img/evil.{suffix}"
    with (source.root / name).open("wb") as file:
        if suffix == "npy":
            np.save(file, np.array([Payload(proof)], dtype=object))
        else:
            pickle.dump(Payload(proof), file)
    source.rows[5]["path"] = name
    with pytest.raises(CohortError, match=rf"row 7: image 'img/evil\.{suffix}' is no PNG"):
        source.build(tmp_path / "cohort")
    assert not proof.exists()


@pytest.mark.parametrize("member", ["val_images", "val_labels"])
def test_a_pickle_in_an_archive_is_not_run(tmp_path: Path, member: str) -> None:
    proof = tmp_path / "proof"
    root = tmp_path / "data"
    releases.write_medmnist(root, **{member: np.array([Payload(proof)] * 12, dtype=object)})
    with pytest.raises(CohortError, match=rf"{member}: (object|cannot be read)"):
        build(MedMnistOptions(size=12), root, tmp_path / "cohort")
    (root / "pneumoniamnist.npz").write_bytes(pickle.dumps(Payload(proof)))
    with pytest.raises(CohortError, match="train_images: cannot be read"):
        build(MedMnistOptions(size=12), root, tmp_path / "cohort")
    assert not proof.exists()
