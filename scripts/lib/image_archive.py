"""What an image archive (docker-archive) holds, and whether it is podperf's image as it should be.

Enters: a file that `buildah push docker-archive:` or `docker save` wrote. Leaves: its facts, or a
line for everything that is wrong. Run as `image_archive.py FILE.tar NAME:TAG`: exit status 0 or 1.
"""

import hashlib
import json
import struct
import sys
import tarfile
from dataclasses import dataclass

LAYER_LIMIT = 7_000_000  # bytes
PROGRAM = "podperf"
LINKS = {f"usr/local/bin/{name}": "../../../podperf" for name in ("netperf", "netserver")}
SBOM = "usr/share/sbom/podperf.cdx.json"
DIRECTORIES = ("usr", "usr/local", "usr/local/bin", "usr/share", "usr/share/sbom")
PORTS = ["12865/tcp", "5210/tcp", "5210/udp"]
USER = "65532:65532"
ENVIRONMENT = ["PATH=/usr/local/bin"]
LABELS = ("title", "description", "version", "licenses", "revision", "created")
PREFIX = "org.opencontainers.image."
PT_INTERP = 3


@dataclass(frozen=True)
class Image:
    """An image as its archive tells it."""

    tags: list
    settings: dict  # the configuration document
    layers: list  # bytes of each
    files: dict  # mode and content of each file of the first layer, by its name
    links: dict  # where each symbolic link of it leads
    directories: dict  # the mode of each

    @property
    def config(self):
        return self.settings.get("config", {})

    @property
    def labels(self):
        return self.config.get("Labels") or {}


def read(path):
    """The only image of the archive at `path`."""
    with tarfile.open(path) as archive:
        def member(name):
            return archive.extractfile(name).read()

        (entry,) = json.loads(member("manifest.json"))
        settings = json.loads(member(entry["Config"]))
        layers = [len(member(name)) for name in entry["Layers"]]
        files, links, directories = {}, {}, {}
        with tarfile.open(fileobj=archive.extractfile(entry["Layers"][0])) as layer:
            for item in layer:
                name = item.name.removeprefix("./").rstrip("/")
                if item.isdir():
                    directories[name] = item.mode
                elif item.issym():
                    links[name] = item.linkname
                else:
                    content = layer.extractfile(item).read() if item.isfile() else b""
                    files[name] = (item.mode, content)
        return Image(entry["RepoTags"] or [], settings, layers, files, links, directories)


def is_static(program):
    """Whether an ELF file (64 bits, little-endian) asks for no dynamic linker."""
    if program[:6] != b"\x7fELF\x02\x01":
        return False
    (table,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    kinds = [struct.unpack_from("<I", program, table + size * at)[0] for at in range(count)]
    return bool(kinds) and PT_INTERP not in kinds


def described_program(sbom):
    """The SHA-256 of the program that a bill of materials (CycloneDX) is about."""
    try:
        (digest,) = json.loads(sbom)["metadata"]["component"]["hashes"]
        return digest["content"]
    except (ValueError, KeyError, TypeError):
        return None


def complaints(image, tag):
    """A line for everything that is not as it should be."""
    found = []

    def expect(what, is_so, wanted):
        if is_so != wanted:
            found.append(f"{what}: {is_so!r}, not {wanted!r}")

    expect("name", image.tags, [tag])
    expect("layers", len(image.layers), 1)
    if sum(image.layers) >= LAYER_LIMIT:
        found.append(f"size: {sum(image.layers)} bytes, and less than {LAYER_LIMIT} are allowed")
    expect("files", sorted(image.files), [PROGRAM, SBOM])
    expect("links", image.links, LINKS)
    directories = {name: oct(mode & 0o7777) for name, mode in image.directories.items() if name}
    expect("directories", directories, dict.fromkeys(DIRECTORIES, oct(0o755)))
    mode, program = image.files.get(PROGRAM, (0, b""))
    expect("mode of the program", oct(mode & 0o7777), oct(0o755))
    mode, sbom = image.files.get(SBOM, (0, b""))
    expect("mode of the bill of materials", oct(mode & 0o7777), oct(0o644))
    expect("bill of materials is of program", described_program(sbom),
           hashlib.sha256(program).hexdigest())
    expect("program is static", is_static(program), True)
    expect("user", image.config.get("User"), USER)
    expect("entrypoint", image.config.get("Entrypoint"), [f"/{PROGRAM}"])
    expect("ports", sorted(image.config.get("ExposedPorts") or {}), PORTS)
    expect("environment", image.config.get("Env"), ENVIRONMENT)
    expect("volumes", image.config.get("Volumes") or {}, {})
    for label in LABELS:
        if not image.labels.get(PREFIX + label):
            found.append(f"label {PREFIX}{label}: missing")
    created = image.labels.get(PREFIX + "created", "")
    # Builders write fractions of a second where there are some.
    expect("created", image.settings.get("created", "").replace(".000000000", ""), created)
    return found


def main(path, tag):
    image = read(path)
    found = complaints(image, tag)
    for line in found:
        print(f"image: {line}", file=sys.stderr)
    if not found:
        print(f"{tag}: {sum(image.layers)} bytes in one layer, {LAYER_LIMIT} allowed; "
              f"{image.settings['os']}/{image.settings['architecture']}, user {USER}, "
              f"version {image.labels[PREFIX + 'version']}, {image.settings['created']}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
