"""DICOM: stored values to the picture that a person would be shown."""

import numpy as np
import pytest

from automl.data.images import image_facts, read_image
from automl.errors import DataError

pydicom = pytest.importorskip("pydicom")


def write(path, stored, **tags):
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = pydicom.Dataset()
    file.file_meta = meta
    file.Rows, file.Columns = stored.shape[-2:]
    file.SamplesPerPixel = 1
    file.PhotometricInterpretation = "MONOCHROME2"
    file.BitsAllocated = 16
    file.BitsStored = 12 if stored.dtype == np.uint16 else 16
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(stored.dtype == np.int16)
    for name, value in tags.items():
        setattr(file, name, value)
    file.PixelData = stored.tobytes()
    file.save_as(path, enforce_file_format=True)
    return path


RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def test_read__without_a_window_from_least_to_most(tmp_path):
    read = read_image(write(tmp_path / "a.dcm", RAMP))
    assert read.shape == (64, 64, 3)
    assert (read.min(), read.max(), len(np.unique(read))) == (0, 255, 256)
    assert (np.diff(read[:, :, 0].ravel().astype(int)) >= 0).all()
    assert image_facts(tmp_path / "a.dcm").notes == ()


def test_read__rescaled_and_windowed(tmp_path):
    path = write(
        tmp_path / "a.dcm",
        RAMP,
        RescaleSlope=1,
        RescaleIntercept=-1024,
        WindowCenter=40,
        WindowWidth=400,
    )
    read = read_image(path)[:, :, 0].ravel()
    value = RAMP.ravel().astype(int) - 1024
    assert (read[value < -165] == 0).all()
    assert (read[value > 245] == 255).all()
    assert abs(int(read[value == 40][0]) - 128) <= 1


def test_read__monochrome1_is_turned_round(tmp_path):
    plain = read_image(write(tmp_path / "a.dcm", RAMP))
    path = write(tmp_path / "b.dcm", RAMP, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(read_image(path), 255 - plain)


def test_read__several_frames_without_a_choice_are_refused(tmp_path):
    path = write(tmp_path / "a.dcm", np.stack([RAMP, RAMP]), NumberOfFrames=2)
    with pytest.raises(DataError, match="a DICOM file of 2 frames") as caught:
        read_image(path)
    assert "`data.frame: middle`" in caught.value.faults[0].hint


def test_read__the_frame_that_is_asked_for(tmp_path):
    frames = [RAMP, RAMP.T.copy(), RAMP[::-1].copy()]
    path = write(tmp_path / "a.dcm", np.stack(frames), NumberOfFrames=3)
    for number, frame in enumerate(frames):
        alone = read_image(write(tmp_path / "alone.dcm", frame))
        assert np.array_equal(read_image(path, number), alone)
        assert np.array_equal(read_image(tmp_path / "alone.dcm", number), alone)  # one frame only
    assert np.array_equal(read_image(path, "middle"), read_image(path, 1))
    with pytest.raises(DataError, match="no frame 3: it holds 3"):
        read_image(path, 3)


def test_read__window_and_rescaling_of_the_frame_itself(tmp_path):
    def groups(center):
        window, scale, frame = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        window.WindowCenter, window.WindowWidth = center, 400
        scale.RescaleSlope, scale.RescaleIntercept = 1, -1024
        frame.FrameVOILUTSequence = [window]
        frame.PixelValueTransformationSequence = [scale]
        return frame

    path = write(
        tmp_path / "a.dcm",
        np.stack([RAMP, RAMP]),
        NumberOfFrames=2,
        PerFrameFunctionalGroupsSequence=[groups(40), groups(1000)],
    )
    for number, center in enumerate((40, 1000)):
        tags = {"RescaleSlope": 1, "RescaleIntercept": -1024}
        alone = write(tmp_path / "b.dcm", RAMP, WindowCenter=center, WindowWidth=400, **tags)
        assert np.array_equal(read_image(path, number), read_image(alone))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_read__cut(tmp_path, share):
    path = write(tmp_path / "a.dcm", RAMP)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError):
        read_image(path)


def test_read__a_size_that_is_a_bomb(tmp_path):
    path = write(tmp_path / "a.dcm", RAMP, Rows=60_000, Columns=60_000)
    with pytest.raises(DataError, match="3600000000 pixels"):
        read_image(path)
