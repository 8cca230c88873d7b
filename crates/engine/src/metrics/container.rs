//! Whether the process runs in a container, and whether its /proc is the kernel's own.
//!
//! Enters: marks that container engines leave in files and mounts. Leaves: a verdict with its
//! evidence. A mark that is not there proves nothing, hence "none found".

use crate::metrics::mounts::{self, Mount};
use crate::metrics::roots::Roots;
use crate::metrics::source::{FactResult, text};
use podperf_model::facts::Container;

/// In a container or not. The first mark found counts, the most telling looked for first.
pub(super) fn container(roots: &Roots) -> Container {
    let mounts = mounts::read(roots).unwrap_or_default();
    let evidence = sandbox(roots)
        .map(|release| format!("gvisor: kernel release '{release}'"))
        .or_else(|| kubernetes(roots, &mounts))
        .or_else(|| engine_file(roots))
        .or_else(|| engine_variable(roots))
        .or_else(|| engine_cgroup(roots))
        .or_else(|| {
            let root = mounts.iter().rfind(|mount| mount.point == "/")?;
            (root.kind == "overlay").then(|| "unknown engine: / is an overlay mount".to_owned())
        });
    match evidence {
        Some(evidence) => Container { contained: true, evidence },
        None => Container { contained: false, evidence: "none found".to_owned() },
    }
}

/// Whether /proc/stat is something else than this kernel's: lxcfs or another file mounted over it,
/// or gVisor's kernel, which keeps no such accounts.
pub(super) fn proc_filtered(roots: &Roots) -> FactResult<bool> {
    let over_stat = |mount: &Mount| mount.point == "/proc/stat" || is_lxcfs_proc(mount);
    Ok(mounts::read(roots)?.iter().any(over_stat) || sandbox(roots).is_some())
}

fn is_lxcfs_proc(mount: &Mount) -> bool {
    mount.kind == "fuse.lxcfs" && mount.point.starts_with("/proc")
}

/// gVisor's kernel release or, from before it named itself, the build date it has always shown.
fn sandbox(roots: &Roots) -> Option<String> {
    const BUILD: &str = "#1 SMP Sun Jan 10 15:06:54 PST 2016";
    let version = text(&roots.proc.join("version")).unwrap_or_default();
    let known = version.contains(BUILD) || version.to_ascii_lowercase().contains("gvisor");
    known.then(|| version.split(' ').nth(2).unwrap_or_default().to_owned())
}

fn kubernetes(roots: &Roots, mounts: &[Mount]) -> Option<String> {
    // The kubelet mounts a Pod's /etc/hosts and volumes from its own directory.
    let kubelet = |mount: &&Mount| mount.root.contains("/kubelet/pods/");
    if let Some(mount) = mounts.iter().find(kubelet) {
        return Some(format!("kubernetes: {} is mounted by the kubelet", mount.point));
    }
    if variable(roots, "KUBERNETES_SERVICE_HOST").is_some() {
        return Some("kubernetes: KUBERNETES_SERVICE_HOST is set".to_owned());
    }
    let cgroup = text(&roots.proc.join("self/cgroup")).unwrap_or_default();
    cgroup.contains("/kubepods").then(|| "kubernetes: cgroup below kubepods".to_owned())
}

fn engine_file(roots: &Roots) -> Option<String> {
    let marks = [("docker", "/.dockerenv"), ("podman", "/run/.containerenv")];
    let (engine, path) = marks.into_iter().find(|(_, path)| roots.absolute(path).exists())?;
    Some(format!("{engine}: {path} exists"))
}

/// systemd.io/CONTAINER_INTERFACE: the engine's name in /run/systemd/container or in `container`.
fn engine_variable(roots: &Roots) -> Option<String> {
    let path = "/run/systemd/container";
    if let Ok(engine) = text(&roots.absolute(path)) {
        return Some(format!("{engine}: named in {path}"));
    }
    variable(roots, "container").map(|engine| format!("{engine}: named in $container"))
}

fn engine_cgroup(roots: &Roots) -> Option<String> {
    let cgroup = text(&roots.proc.join("self/cgroup")).ok()?;
    let marks = ["docker", "libpod", "cri-containerd", "crio-", "lxc.payload", "/lxc/"];
    let mark = marks.into_iter().find(|mark| cgroup.contains(mark))?;
    Some(format!("{}: named in /proc/self/cgroup", mark.trim_matches(['/', '-'])))
}

/// An environment variable that the process was started with; empty ones count as unset.
fn variable(roots: &Roots, name: &str) -> Option<String> {
    let environment = text(&roots.proc.join("self/environ")).ok()?;
    let mut variables = environment.split('\0').filter_map(|entry| entry.split_once('='));
    variables.find(|(key, value)| *key == name && !value.is_empty()).map(|(_, v)| v.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Roots) {
        let tree = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let roots = Roots::below(tree.path());
        (tree, roots)
    }

    #[track_caller]
    fn evidence(files: &[(&str, &str)]) -> String {
        let (_tree, roots) = tree(files);
        let container = container(&roots);
        assert!(container.contained);
        container.evidence
    }

    #[test]
    fn marks_of_engines() {
        assert!(container(&Roots::fixture("cgroup-v2-container")).evidence.contains("/etc/hosts"));
        let environ = "PATH=/\0KUBERNETES_SERVICE_HOST=10.0.0.1\0";
        assert!(evidence(&[("proc/self/environ", environ)]).starts_with("kubernetes"));
        assert!(evidence(&[(".dockerenv", "")]).starts_with("docker"));
        assert!(evidence(&[("run/.containerenv", "")]).starts_with("podman"));
        assert!(evidence(&[("proc/self/environ", "container=lxc\0")]).starts_with("lxc"));
        assert!(evidence(&[("proc/self/cgroup", "0::/lxc/a\n")]).starts_with("lxc"));
        let overlay = "700 600 0:1 / / rw - overlay overlay rw\n";
        assert!(evidence(&[("proc/self/mountinfo", overlay)]).contains("overlay"));
    }

    #[test]
    fn no_mark_is_no_container() {
        let (_tree, roots) = tree(&[("proc/self/environ", "KUBERNETES_SERVICE_HOST=\0container=")]);
        let found = container(&roots);
        assert_eq!((found.contained, found.evidence.as_str()), (false, "none found"));
    }

    #[test]
    fn a_replaced_proc_stat_is_seen() {
        assert_eq!(proc_filtered(&Roots::fixture("cgroup-v2-container")), Ok(true));
        assert_eq!(proc_filtered(&Roots::fixture("cgroup-v2")), Ok(false));
        let version = "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016";
        let (_tree, roots) = tree(&[("proc/self/mountinfo", ""), ("proc/version", version)]);
        assert_eq!(proc_filtered(&roots), Ok(true));
        assert!(container(&roots).evidence.starts_with("gvisor: kernel release '4.4.0'"));
        let empty = tempfile::tempdir().unwrap();
        assert!(proc_filtered(&Roots::below(empty.path())).is_err());
    }
}
