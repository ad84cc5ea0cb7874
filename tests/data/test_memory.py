"""Files made to take memory: each costs one finding, and no decoder outgrows its share."""

import json
import os
import struct
import subprocess
import sys
import zlib

import pytest

SIDE = 10_950
"""119.9 million pixels, which are let through."""

MOST = 1_350_000_000
"""Bytes that a decoder may have in memory with its libraries: 1.5 GB less parent and neighbour."""

SCAN = """
import json, resource, sys
from pathlib import Path
from automl.data.decoders import Job, decode_all, end_workers
(job, answer), = decode_all([Job(Path(sys.argv[1]), "image")])
end_workers()
own = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:")).split()[1]
worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
fault = answer.fault.message if answer.fault else ""
size = [answer.facts.width, answer.facts.height] if answer.facts else []
print(json.dumps({"own": int(own) * 1024, "worker": worker * 1024, "fault": fault, "size": size}))
"""


def scanned(path):
    env = {**os.environ, "AUTOML_CACHE": "off"}
    command = [sys.executable, "-c", SCAN, str(path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["own"] < MOST / 4
    assert told["worker"] < MOST
    return told


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def repeated(block, count, wbits):
    """A stream of a block many times over, each packed once: seconds of packing are not needed."""
    packer = zlib.compressobj(1, wbits=wbits)
    once = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return once + again * (count - 1), packer.flush()


def test_scan__a_picture_as_large_as_may_be_with_transparency(tmp_path):
    row = b"\0" * (1 + SIDE * 8)
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(row) for _ in range(SIDE)) + packer.flush()
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 6, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", data), (b"IEND", b"")]
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    assert scanned(path)["size"] == [SIDE, SIDE]


def test_scan__a_dicom_that_unpacks_to_gigabytes(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileMetaDataset

    file = pydicom.Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    file.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    file.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    path = tmp_path / "a.dcm"
    file.save_as(path, enforce_file_format=True)
    bomb, end = repeated(
        b"\x09\x00\x10\x10OB\0\0" + struct.pack("<I", 1 << 20) + bytes(1 << 20), 4000, -15
    )
    path.write_bytes(path.read_bytes().removesuffix(b"\x03\x00") + bomb + end)
    assert "takes too much memory" in scanned(path)["fault"]


def test_scan__a_volume_that_unpacks_to_gigabytes(tmp_path):
    head = bytearray(352)
    head[0:4] = struct.pack("<i", 348)
    head[40:56] = struct.pack("<8h", 3, 512, 512, 8000, 1, 1, 1, 1)
    head[70:74] = struct.pack("<hh", 16, 32)
    head[108:112], head[344:348] = struct.pack("<f", 352.0), b"n+1\0"
    packer = zlib.compressobj(1, wbits=31)
    first = packer.compress(bytes(head)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    path = tmp_path / "a.nii.gz"
    path.write_bytes(first + block * 8000)
    assert "unpacks to more than 500 MB" in scanned(path)["fault"]
