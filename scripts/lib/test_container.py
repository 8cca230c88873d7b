"""container/build's command line, and the look into an archive; nothing is built here."""

import hashlib
import io
import json
import os
import struct
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

import image_archive

BUILD = Path(__file__).resolve().parent.parent.parent / "container" / "build"
TAG = "localhost/podperf:dev"
CREATED = "2026-01-02T03:04:05Z"


def elf(*kinds):
    """The headers of a program with segments of these kinds."""
    head = b"\x7fELF\x02\x01\x01".ljust(32, b"\0") + struct.pack("<QQI", 64, 0, 0)
    head += struct.pack("<HHHHHH", 64, 56, len(kinds), 0, 0, 0)
    return head + b"".join(struct.pack("<I", kind).ljust(56, b"\0") for kind in kinds)


def tar(files, mode=0o755):
    """An archive: of files, of links where text stands for contents, of directories where None does."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            item = tarfile.TarInfo(name)
            item.mode = 0o644 if name == image_archive.SBOM else mode
            if content is None:
                item.type, item.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                item.type, item.linkname = tarfile.SYMTYPE, content
            else:
                item.size = len(content)
            archive.addfile(item, io.BytesIO(content or b"") if item.size else None)
    return out.getvalue()


DIRECTORIES = dict.fromkeys(image_archive.DIRECTORIES)
NAMES = {**DIRECTORIES, **image_archive.LINKS}


def sbom(program):
    """The part of a bill of materials that says which program it is about."""
    digest = {"alg": "SHA-256", "content": hashlib.sha256(program).hexdigest()}
    return {image_archive.SBOM: json.dumps(
        {"metadata": {"component": {"hashes": [digest]}}}).encode()}


def layer(program, mode=0o755, **more):
    """The layer with this program in it."""
    return tar({"podperf": program, **sbom(program), **NAMES, **more}, mode)


def archive(directory, config=None, layers=None, tag=TAG):
    """Writes an archive that is as it should be but for what is given; returns what is wrong."""
    labels = {image_archive.PREFIX + name: name for name in image_archive.LABELS}
    labels[image_archive.PREFIX + "created"] = CREATED
    settings = {"created": CREATED, "os": "linux", "architecture": "amd64", "config": {
        "User": "65532:65532", "Entrypoint": ["/podperf"], "Labels": labels,
        "ExposedPorts": {"5210/tcp": {}, "5210/udp": {}, "12865/tcp": {}},
        "Env": ["PATH=/usr/local/bin"], **(config or {})}}
    layers = layers or [layer(elf(1, 2))]
    names = [f"layer{at}.tar" for at in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": names}]
    path = Path(directory, "image.tar")
    path.write_bytes(tar({"manifest.json": json.dumps(manifest).encode(),
                          "config.json": json.dumps(settings).encode(),
                          **dict(zip(names, layers))}))
    return image_archive.complaints(image_archive.read(path), TAG)


class CommandLine(unittest.TestCase):
    def run_build(self, *arguments, **environment):
        return subprocess.run([BUILD, *arguments], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, env={**os.environ, **environment})

    def test_wrong_usage_is_status_two_and_says_what_is_allowed(self):
        for arguments, words in (
            (["--tag"], "a name in lower case and a tag are allowed"),
            (["--tag", "podperf"], "such as localhost/podperf:dev"),
            (["--tag", "localhost/Podperf:dev"], "'localhost/Podperf:dev'"),
            (["--archive"], "ends in .tar"),
            (["--archive", "podperf.tgz"], "ends in .tar"),
            (["--archive", "/no/such/directory/podperf.tar"], "its directory does not exist"),
            (["--push"], "'localhost/podperf:dev' names none"),
            (["--push", "--tag", "team/podperf:1"], "'team/podperf:1' names none"),
            (["--sideways"], "unknown argument '--sideways'"),
        ):
            with self.subTest(arguments):
                done = self.run_build(*arguments)
                self.assertEqual(done.returncode, 2)
                self.assertIn(words, done.stderr)
                self.assertEqual(done.stdout, "")

    def test_a_date_is_a_number_of_seconds(self):
        done = self.run_build(SOURCE_DATE_EPOCH="yesterday")
        self.assertEqual(done.returncode, 2)
        self.assertIn("SOURCE_DATE_EPOCH is 'yesterday'", done.stderr)

    def test_help_names_every_option(self):
        done = self.run_build("--help")
        self.assertEqual(done.returncode, 0)
        for word in ("--tag", "--archive", "--push", "Exit status"):
            self.assertIn(word, done.stdout)

    def test_without_a_toolchain_it_cannot_and_says_what_is_missing(self):
        with tempfile.TemporaryDirectory() as empty:
            for name in ("bash", "dirname", "uname", "sed"):
                found = subprocess.run(["bash", "-c", f"type -P {name}"], capture_output=True,
                                       text=True, check=True).stdout.strip()
                Path(empty, name).symlink_to(found)
            # packages.sh adds the administrator's directories, where no toolchain is.
            done = self.run_build(PATH=empty)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, r"cargo is missing: install a Rust toolchain, 1\.\d+")


class Archive(unittest.TestCase):
    def test_each_deviation_is_named(self):
        with tempfile.TemporaryDirectory() as directory:
            self.assertEqual(archive(directory), [])
            program = layer(elf(1, 2))
            netperf = "usr/local/bin/netperf"
            for word, changes in (
                ("name", {"tag": "localhost/other:dev"}),
                ("user", {"config": {"User": "root"}}),
                ("user", {"config": {"User": ""}}),
                ("entrypoint", {"config": {"Entrypoint": ["/bin/sh"]}}),
                ("ports", {"config": {"ExposedPorts": {"5210/tcp": {}}}}),
                ("volumes", {"config": {"Volumes": {"/data": {}}}}),
                ("layers", {"layers": [program, program]}),
                ("ports", {"config": {"ExposedPorts": {"5210/tcp": {}, "5210/udp": {}}}}),
                ("environment", {"config": {"Env": ["PATH=/usr/bin"]}}),
                ("environment", {"config": {"Env": None}}),
                ("files", {"layers": [layer(elf(1), **{"bin/sh": b"#"})]}),
                ("files", {"layers": [layer(elf(1), bin=elf(1))]}),
                ("links", {"layers": [tar({"podperf": elf(1), **sbom(elf(1)), **DIRECTORIES})]}),
                ("materials", {"layers": [layer(elf(1), **sbom(elf(2)))]}),
                ("materials", {"layers": [layer(elf(1), **{image_archive.SBOM: b"[]"})]}),
                ("materials", {"layers": [layer(elf(1), **{image_archive.SBOM: b"{"})]}),
                ("links", {"layers": [layer(elf(1), **{netperf: "/bin/sh"})]}),
                ("directories", {"layers": [layer(elf(1), etc=None)]}),
                ("mode", {"layers": [layer(elf(1), mode=0o644)]}),
                ("static", {"layers": [layer(elf(1, 3))]}),
                ("static", {"layers": [layer(b"#!/bin/sh\n")]}),
                ("size", {"layers": [layer(elf(1) + bytes(7_000_000))]}),
            ):
                with self.subTest(changes.get("config", word)):
                    found = archive(directory, **changes)
                    self.assertEqual(len(found), 1, found)
                    self.assertIn(word, found[0])

    def test_missing_labels_and_dates_are_named(self):
        with tempfile.TemporaryDirectory() as directory:
            found = archive(directory, config={"Labels": None})
        labels = [line for line in found if line.startswith("label ")]
        self.assertEqual(len(labels), len(image_archive.LABELS))
        self.assertIn("created", found[-1])
