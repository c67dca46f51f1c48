"""Releases that mean harm: refused with the row that is wrong, or without effect."""

import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageFile
from pydicom.uid import DeflatedExplicitVRLittleEndian

from companion.cohorts import fakes
from companion.cohorts.errors import CohortError, ImageError
from companion.cohorts.importing.image_files import FrameOptions, read_frame
from companion.cohorts.registry import build
from companion.cohorts.releases.folder import FolderOptions
from companion.cohorts.releases.medmnist import MedMnistOptions
from companion.cohorts.releases.mini_mias import MiniMiasOptions
from companion.cohorts.releases.nih import NihOptions
from tests.cohorts import releases, test_medmnist, test_mini_mias, test_nih
from tests.cohorts.conftest import Source, picture
from tests.cohorts.test_image_files import write_dicom
from tests.payload import Payload


def assert_nothing_left(folder: Path) -> None:
    assert not list(folder.parent.glob(f"*{folder.name}*"))


# Paths

Spoil = Callable[[Path], Any]


def leading_out(place: str, *, whole_folder: bool = False) -> Spoil:
    """Moves a file, or the folder that it is in, out of the data root and links it there."""

    def spoil(root: Path) -> None:
        path = sorted(root.glob(place))[0]
        path = path.parent if whole_folder else path
        outside = root.parent / "outside"
        path.rename(outside)
        path.symlink_to(outside)

    return spoil


def made_by(name: str) -> Spoil:
    return lambda root: fakes.make(name, root, 48)


def make_mini_mias(root: Path) -> None:
    test_mini_mias.Download(root).save()


def make_nih(root: Path) -> None:
    test_nih.Download(root).save()


FORGED = [
    ("padchest", "PADCHEST*.csv", "ImageID", "../../x.png"),
    ("padchest", "PADCHEST*.csv", "ImageID", "/etc/passwd"),
    ("chexpert", "train.csv", "Path", "CheXpert-v1.0/train/../../../x.jpg"),
    ("embed", "tables/EMBED_OpenData_metadata*.csv", "anon_dicom_path", "/a/cohort_1/../../../x"),
    ("rsna", "stage_2_train_labels.csv", "patientId", "../../x"),
    ("vindr", "breast-level_annotations.csv", "study_id", "../.."),
]


@pytest.mark.parametrize(("name", "table", "column", "path"), FORGED)
def test_forged_paths_in_a_release(
    name: str, table: str, column: str, path: str, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    fakes.make(name, root, 48)
    (file,) = root.rglob(table.rpartition("/")[2])
    content = releases.lines(file)
    place = content[0].index(column)
    first = content[1][place]
    for line in content[1:]:
        line[place] = path if line[place] == first else line[place]
    releases.save(file, content)
    for other in root.glob("*.json"):  # RSNA's list names the images once more
        other.write_text(other.read_text().replace(first, path))
    with pytest.raises(
        CohortError, match=rf"{file.name}, row \d+: (path .* leaves|path .* not as pub)"
    ):
        _import(name, root, tmp_path / "cohort")
    assert_nothing_left(tmp_path / "cohort")


def _import(name: str, root: Path, folder: Path) -> None:
    from companion.cohorts import doctor

    options = doctor.SOURCES[name].options().model_copy(update={"size": 8, "width": 8})
    build(options, root, folder)  # type: ignore[arg-type]


@pytest.mark.parametrize("whole_folder", [False, True], ids=["file", "folder"])
@pytest.mark.parametrize(
    ("name", "make", "place"),
    [
        ("padchest", made_by("padchest"), "**/*.png"),
        ("chexpert", made_by("chexpert"), "**/*.jpg"),
        ("rsna", made_by("rsna"), "**/*.dcm"),
        ("embed", made_by("embed"), "**/*.dcm"),
        ("vindr", made_by("vindr"), "**/*.dicom"),
        ("nih", make_nih, "images/*.png"),
    ],
)
def test_links_out_of_a_release(
    name: str, make: Spoil, place: str, whole_folder: bool, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    make(root)
    # All images are led out, as not every one of them is imported.
    folders = {path.parent for path in root.glob(place)}
    for i, folder in enumerate(folders):
        if whole_folder:
            outside = tmp_path / "elsewhere" / str(i)
            outside.parent.mkdir(exist_ok=True)
            folder.rename(outside)
            folder.symlink_to(outside)
        else:
            for file in folder.glob(f"*{Path(place).suffix}"):
                outside = tmp_path / "elsewhere" / str(i) / file.name
                outside.parent.mkdir(parents=True, exist_ok=True)
                file.rename(outside)
                file.symlink_to(outside)
    with pytest.raises(CohortError, match=r"row \d+: path .* leaves the data root"):
        _import(name, root, tmp_path / "cohort")
    assert_nothing_left(tmp_path / "cohort")


def test_links_out_of_mini_mias_and_of_an_archive(tmp_path: Path) -> None:
    make_mini_mias(tmp_path / "data")
    leading_out("mdb007.pgm")(tmp_path / "data")
    with pytest.raises(CohortError, match=r"row 11: path 'mdb007\.pgm' leaves the data root"):
        build(MiniMiasOptions(size=12, width=9), tmp_path / "data", tmp_path / "cohort")
    root = tmp_path / "medmnist"
    root.mkdir()
    np.savez(tmp_path / "there.npz", **test_medmnist.made_up())
    (root / "pneumoniamnist.npz").symlink_to(tmp_path / "there.npz")
    with pytest.raises(CohortError, match=r"pneumoniamnist\.npz is missing"):
        build(MedMnistOptions(size=12), root, tmp_path / "cohort")
    assert_nothing_left(tmp_path / "cohort")


def test_a_folder_of_own_images_that_leads_out(source: Source, tmp_path: Path) -> None:
    leading_out("img/*.png", whole_folder=True)(source.root)
    with pytest.raises(CohortError, match=r"row 2: path 'img/000\.png' leaves the data root"):
        source.build(tmp_path / "cohort")


def test_a_link_within_the_data_root_is_followed(source: Source, tmp_path: Path) -> None:
    (source.root / "img").rename(source.root / "real")
    (source.root / "img").symlink_to("real")
    assert len(source.build(tmp_path / "cohort")) == 24


# Names


@pytest.mark.parametrize("character", ["\0", "\n", "\r", "\x1b", "\x85", "\u2028", "\u202e"])
@pytest.mark.parametrize("column", ["scanner", "label", "patient_id", "id", "view"])
def test_control_characters_in_names(
    source: Source, tmp_path: Path, column: str, character: str
) -> None:
    for i, row in enumerate(source.rows):
        row |= {"id": f"i{i}", "view": "PA"}
    for row in source.rows[5::12]:
        row[column] = f"A{character}B"
    columns = {"image_id": "id", "view": "view"}
    said = r"row 7: .* holds a control char|class or scanner 'A.*B' holds a control|no CSV"
    with pytest.raises(CohortError, match=said):
        source.build(tmp_path / "cohort", columns=columns)
    assert_nothing_left(tmp_path / "cohort")


@pytest.mark.parametrize("column", ["path", "scanner", "label", "patient_id"])
def test_absurdly_long_names(source: Source, tmp_path: Path, column: str) -> None:
    for row in source.rows[5::12]:
        row[column] += "x" * 5000
    with pytest.raises(
        CohortError, match=r"xxx'\.\.\. is longer than|leaves the data root"
    ) as said:
        source.build(tmp_path / "cohort")
    assert len(str(said.value)) < 500 or column == "path"
    assert_nothing_left(tmp_path / "cohort")


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


def png_claiming(width: int, height: int) -> bytes:
    """A valid PNG of a few hundred bytes that says it has so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(10_000))
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])
def test_a_png_that_claims_more_pixels_than_memory(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(png_claiming(side, side))
    with pytest.raises(ImageError, match=r"Bomb|claims \d+ x \d+ pixels"):
        read_frame(tmp_path / "bomb.png", FrameOptions())


def test_a_dicom_that_is_deflated_as_a_whole_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dicom(tmp_path / "a.dcm", np.arange(64, dtype=np.uint8).reshape(8, 8))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    monkeypatch.setattr(pydicom, "dcmread", lambda _: pytest.fail("was unpacked"))
    with pytest.raises(ImageError, match="'Deflated Explicit VR Little Endian', of any size"):
        read_frame(path, FrameOptions())


def test_many_frames_and_huge_sides_of_dicom_are_named_with_their_row(
    source: Source, tmp_path: Path
) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for tags, said in (
        ({"NumberOfFrames": 10_000}, "holds 10000 frames"),
        ({"Rows": 65_535, "Columns": 65_535}, "claims 65535 x 65535 pixels"),
    ):
        write_dicom(source.root / "img/005.png", pixels, **tags)
        with pytest.raises(CohortError, match=rf"row 7: image 'img/005\.png' {said}"):
            source.build(tmp_path / "cohort")
        assert_nothing_left(tmp_path / "cohort")


def npy_header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    file = io.BytesIO()
    described = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()


@pytest.mark.parametrize(
    ("member", "content", "said"),
    [
        ("train_images", npy_header((10**9, 28, 28)), "claims 1000000000 images of 28 x 28"),
        ("train_images", npy_header((40, 10**6, 10**6)), "claims 40 images of 1000000 x"),
        ("val_labels", npy_header((10**11,)), "more than is read|cannot be read"),
        ("val_labels", npy_header((12,), "|S10000000000"), "cannot be read"),
    ],
)
def test_an_archive_that_claims_more_than_memory(
    tmp_path: Path, member: str, content: bytes, said: str
) -> None:
    root = archive_with(tmp_path, {member: content})
    with pytest.raises(CohortError, match=rf"pneumoniamnist\.npz, {member}: .*({said})"):
        build(MedMnistOptions(size=12), root, tmp_path / "cohort")
    assert_nothing_left(tmp_path / "cohort")


def archive_with(tmp_path: Path, members: dict[str, bytes]) -> Path:
    """A data root with a MedMNIST archive of which some arrays are replaced."""
    root = tmp_path / "data"
    root.mkdir()
    with zipfile.ZipFile(root / "pneumoniamnist.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in test_medmnist.made_up().items():
            file = io.BytesIO()
            np.save(file, array)
            archive.writestr(f"{name}.npy", members.get(name, file.getvalue()))
    return root


def test_an_archive_whose_labels_inflate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 MB of zeros in 200 kB; gigabytes are refused alike."""
    shape = (200_000_000,)
    root = archive_with(tmp_path, {"val_labels": npy_header(shape) + bytes(shape[0])})
    assert (root / "pneumoniamnist.npz").stat().st_size < 10**6
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("was unpacked"))
    monkeypatch.setattr("companion.cohorts.releases.medmnist.SPLITS", ("val",))
    with pytest.raises(CohortError, match=r"val_labels: 200000000 bytes, more than is read"):
        build(MedMnistOptions(size=12), root, tmp_path / "cohort")


def test_an_encrypted_archive_is_named(tmp_path: Path) -> None:
    root = archive_with(tmp_path, {})
    content = bytearray((root / "pneumoniamnist.npz").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(signature)
        while place >= 0:
            content[place + offset] |= 1  # the flag of encryption
            place = content.find(signature, place + 1)
    (root / "pneumoniamnist.npz").write_bytes(content)
    with pytest.raises(CohortError, match=r"pneumoniamnist\.npz, train_images: cannot be read"):
        build(MedMnistOptions(size=12), root, tmp_path / "cohort")


# Code


def test_the_payload_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "proof")))
    assert (tmp_path / "proof").exists()


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pt", ".png"])
def test_a_pickle_among_the_images_is_not_run(source: Source, tmp_path: Path, suffix: str) -> None:
    proof = tmp_path / "proof"
    name = f"img/evil{suffix}"
    with (source.root / name).open("wb") as file:
        if suffix == ".npz":
            np.savez(file, a=np.array([Payload(proof)], dtype=object))
        elif suffix == ".npy":
            np.save(file, np.array([Payload(proof)], dtype=object))
        else:
            pickle.dump(Payload(proof), file)
    source.rows[5]["path"] = name
    with pytest.raises(CohortError, match=rf"row 7: image 'img/evil\{suffix}' is no PNG"):
        source.build(tmp_path / "cohort")
    assert not proof.exists()


@pytest.mark.parametrize("member", ["val_images", "val_labels"])
def test_a_pickle_in_an_archive_is_not_run(tmp_path: Path, member: str) -> None:
    proof = tmp_path / "proof"
    file = io.BytesIO()
    np.save(file, np.array([Payload(proof)] * 12, dtype=object))
    root = archive_with(tmp_path, {member: file.getvalue()})
    with pytest.raises(CohortError, match=rf"{member}: (object|cannot be read)"):
        build(MedMnistOptions(size=12), root, tmp_path / "cohort")
    (root / "pneumoniamnist.npz").write_bytes(pickle.dumps(Payload(proof)))
    with pytest.raises(CohortError, match="train_images: cannot be read"):
        build(MedMnistOptions(size=12), root, tmp_path / "cohort")
    assert not proof.exists()


# Images that end too early


def write_cut(path: Path, kind: str) -> None:
    """An image of some kind whose last third is missing."""
    pixels = picture(1, 64)
    if kind == "PNG":
        Image.fromarray(pixels).save(path, "PNG")
    elif kind == "16-bit PNG":
        Image.fromarray(pixels.astype(np.uint16) * 257).save(path, "PNG")
    elif kind == "TIFF":
        Image.fromarray(pixels).save(path, "TIFF")
    elif kind == "PGM":
        Image.fromarray(pixels).save(path, "PPM")
    elif kind == "JPEG":
        Image.fromarray(pixels).save(path, "JPEG", quality=95)
    elif kind == "DICOM":
        write_dicom(path, pixels)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


@pytest.mark.parametrize("kind", ["PNG", "16-bit PNG", "JPEG", "DICOM", "TIFF", "PGM"])
def test_an_image_that_ends_early_is_named_or_skipped(
    source: Source, tmp_path: Path, kind: str
) -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    write_cut(source.root / "img/013.png", kind)
    with pytest.raises(CohortError, match=r"row 15: image 'img/013\.png' cannot be read"):
        source.build(tmp_path / "cohort")
    assert_nothing_left(tmp_path / "cohort")
    cohort = source.build(tmp_path / "cohort", "skip")
    (skipped,) = cohort.info["skipped"]
    assert (skipped["file"], skipped["row"]) == ("img/013.png", 15)
    assert len(cohort) == len(cohort.images) == 23


def test_options_cannot_name_a_file_outside_the_data_root(source: Source, tmp_path: Path) -> None:
    source.write_manifest()
    with pytest.raises(CohortError, match="lies outside the data root"):
        build(FolderOptions(manifest="../data2.csv"), source.root, tmp_path / "cohort")
    with pytest.raises(CohortError, match="is missing"):
        build(NihOptions(csv="../nothing.csv"), source.root, tmp_path / "cohort")
