"""The bill of materials of the static engine: a CycloneDX 1.5 document of what is linked into it, and
of what ran while it was built.

Enters: the program, the workspace with its lock file, the toolchain. Leaves: the document on standard
output. Run as `sbom.py PROGRAM`; exit status 0, or another when cargo, rustc or cc fail. What is linked
has the scope `required`; what only ran in the build (macros, build scripts and theirs) `excluded`. The
same sources, toolchain, program and SOURCE_DATE_EPOCH give the same document.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from datetime import datetime, timezone
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
# What no lock file names.
TOOLCHAIN = ("rust-std@", "libgcc@", "glibc@")
# A package in the lock file; the workspace's own have neither source nor checksum.
LOCKED = re.compile(r'\[\[package\]\]\nname = "(.+)"\nversion = "(.+)"\n'
                    r'(?:source = "(.+)"\n)?(?:checksum = "(.+)"\n)?')


def output(*command):
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True,
                          stdin=subprocess.DEVNULL).stdout.strip()


def host():
    """The target that the toolchain builds for."""
    return re.search(r"^host: (.+)$", output("rustc", "-vV"), re.MULTILINE)[1]


def tree(edges):
    """By (name, version) the licence of each package below the engine, itself among them, and the
    packages it depends on. cargo knows which features, and so which packages, the engine has."""
    licences, needs, above = {}, {}, []
    for line in output("cargo", "tree", "--locked", "-p", "podperf", "--no-default-features",
                       "--edges", edges,
                       "--target", host(), "--prefix", "depth",
                       "--format", "|{p}|{l}|").splitlines():
        depth, name_and_version, licence, _ = line.split("|")
        name, version = name_and_version.split()[:2]
        package = (name, version.removeprefix("v"))
        # Earlier ones wrote a slash for "or".
        licences[package] = licence.replace("/", " OR ")
        needs.setdefault(package, set())
        above = [*above[:int(depth)], package]
        if len(above) > 1:
            needs[above[-2]].add(package)
    return licences, needs


def reference(package):
    return "@".join(package)


def crate(package, licence, locked, is_linked):
    """The component of a package of cargo's."""
    name, version = package
    component = {"type": "library", "bom-ref": reference(package), "name": name,
                 "version": version, "scope": "required" if is_linked else "excluded",
                 "licenses": [{"expression": licence}]}
    source, checksum = locked[package]
    if source:
        component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        # The workspace's own are in no registry, and are to be looked up in none.
        if source == REGISTRY:
            component["purl"] = f"pkg:cargo/{name}@{version}"
    return component


def toolchain():
    """What is linked from the toolchain and the system."""
    rust = re.search(r"^release: (.+)$", output("rustc", "-vV"), re.MULTILINE)[1]
    found = [
        ("rust-std", rust, "MIT OR Apache-2.0", f"pkg:generic/rust-std@{rust}"),
        ("libgcc", output("cc", "-dumpfullversion"), "GPL-3.0-or-later WITH GCC-exception-3.1",
         None),
    ]
    glibc, purl = output("getconf", "GNU_LIBC_VERSION").removeprefix("glibc "), None
    if shutil.which("dpkg-query"):
        installed = subprocess.run(
            ["dpkg-query", "-W", "-f", "${source:Version} ${Architecture}", "libc6-dev"],
            capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if installed.returncode == 0:
            glibc, architecture = installed.stdout.split()
            system = dict(re.findall(r'^(ID|VERSION_ID)="?([^"\n]+)',
                                     Path("/etc/os-release").read_text(), re.MULTILINE))
            purl = (f"pkg:deb/{system['ID']}/libc6-dev@{glibc.replace('+', '%2B')}"
                    f"?arch={architecture}&distro={system['ID']}-{system.get('VERSION_ID', '')}")
    found.append(("glibc", glibc, "LGPL-2.1-or-later", purl))
    for name, version, licence, purl in found:
        component = {"type": "library", "bom-ref": reference((name, version)), "name": name,
                     "version": version, "scope": "required", "licenses": [{"expression": licence}]}
        yield {**component, "purl": purl} if purl else component


def document(program):
    """The whole document about the engine at the path `program`."""
    linked, _ = tree("normal,no-proc-macro")
    everything, needs = tree("normal,build")
    locked = {(name, version): (source, checksum) for name, version, source, checksum
              in LOCKED.findall((REPOSITORY / "Cargo.lock").read_text())}
    (engine,) = [package for package in everything if package[0] == "podperf"]
    components = [crate(package, licence, locked, package in linked)
                  for package, licence in sorted(everything.items()) if package != engine]
    from_toolchain = list(toolchain())
    needs = {reference(package): sorted(map(reference, those)) for package, those in needs.items()}
    needs[reference(engine)] += [component["bom-ref"] for component in from_toolchain]
    digest = hashlib.sha256(Path(program).read_bytes()).hexdigest()
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", 0))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(seconds, timezone.utc)
            .strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application", "bom-ref": reference(engine), "name": engine[0],
                "version": engine[1], "licenses": [{"expression": everything[engine]}],
                "hashes": [{"alg": "SHA-256", "content": digest}],
            },
            "properties": [{"name": "podperf:target", "value": host()}],
        },
        "components": components + from_toolchain,
        "dependencies": [{"ref": name, "dependsOn": those} for name, those in sorted(needs.items())],
    }


if __name__ == "__main__":
    json.dump(document(sys.argv[1]), sys.stdout, separators=(",", ":"))
    print()
