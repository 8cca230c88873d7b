//! podperf under a service manager: its unit, what it may do under the unit's sandbox, and sockets
//! that are passed to it. systemd itself is not asked to run it: what it would do is done by hand.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::process::{Server, podperf, podperf_json};
use crate::support::sandbox::NOBODY;
use crate::support::{TIMEOUT, free_port, root, text};

const UNITS: [&str; 2] = ["podperf.service", "podperf.socket"];

/// The least exposure is 0, the most 10; systemd's own word for below 2 is "OK".
const MAX_EXPOSURE_TENTHS: &str = "20";

fn unit(name: &str) -> String {
    format!("{}/container/systemd/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn has_systemd_analyze(test: &str) -> bool {
    let tried = Command::new("systemd-analyze").arg("--version").stdout(Stdio::null()).status();
    let is_there = tried.is_ok_and(|status| status.success());
    if !is_there {
        eprintln!("{test}: skipped: needs systemd-analyze");
    }
    is_there
}

#[test]
fn the_unit_is_one_and_its_exposure_is_low() {
    if !has_systemd_analyze("the_unit_is_one_and_its_exposure_is_low") {
        return;
    }
    // As installed, but for where the program is.
    let folder = tempfile::tempdir().unwrap();
    let own = podperf(None).get_program().to_owned();
    for name in UNITS {
        let text = std::fs::read_to_string(unit(name)).unwrap();
        let text = text.replace("/usr/bin/podperf", own.to_str().unwrap());
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let paths = UNITS.map(|name| folder.path().join(name));
    let verified = Command::new("systemd-analyze").arg("verify").args(&paths).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(!said.contains("podperf."), "{said}");
    assert!(verified.status.success(), "{said}");
    let threshold = format!("--threshold={MAX_EXPOSURE_TENTHS}");
    let judged = Command::new("systemd-analyze")
        .args(["security", "--no-pager", "--offline=true", &threshold])
        .arg(unit(UNITS[0]))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&judged.stdout);
    println!("{}", said.lines().last().unwrap_or_default());
    assert!(judged.status.success(), "{said}");
}

#[test]
fn under_the_units_sandbox_every_method_works() {
    let test = "under_the_units_sandbox_every_method_works";
    let library = ["/lib", "/usr/lib"].into_iter().any(|place| {
        let triple = format!("{place}/{}-linux-gnu/libseccomp.so.2", std::env::consts::ARCH);
        Path::new(&triple).exists() || Path::new(&format!("{place}64/libseccomp.so.2")).exists()
    });
    if !root(test) || !has_systemd_analyze(test) {
        return;
    }
    if !library {
        eprintln!("{test}: skipped: needs libseccomp");
        return;
    }
    // The build folder may be closed to others.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("podperf");
    std::fs::copy(podperf(None).get_program(), &program).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let mut command = Command::new("python3");
    let sandbox = format!("{}/scripts/lib/unit_sandbox.py", env!("CARGO_MANIFEST_DIR"));
    command.args(["-B", &sandbox, &unit(UNITS[0])]).arg(&program);
    command.env_remove("PODPERF_TOKEN").current_dir("/").stdin(Stdio::null());
    let server = Server::launch(command, &["--drain", "0s"]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    assert!(status.contains("Seccomp:\t2") && status.contains(&format!("Uid:\t{NOBODY}")));
    let rows: [&[&str]; 11] = [
        &["stream", "-R", "--send", "uring-zc"],
        &["stream", "-R", "--send", "uring"],
        &["stream", "-R", "--send", "zerocopy"],
        &["stream", "-R", "--send", "sendfile"],
        &["stream", "-R", "--send", "splice"],
        &["stream", "--recv", "uring"],
        &["stream", "--recv", "mmap", "-P", "3"],
        &["stream", "--bidir", "--server-pin", "0", "--server-workers", "1"],
        &["rr", "-P", "40", "--server-wait", "spin", "--server-workers", "1"],
        &["crr", "-P", "2"],
        &["udp", "-b", "50M", "-R"],
    ];
    for row in rows {
        let target = server.target();
        let times = ["-t", "0.5", "-O", "0.1", "-i", "0.2", "-J"];
        let outcome = podperf_json(&[row, &[target.as_str()], &times].concat());
        assert_eq!(outcome.status, 0, "{row:?}: {outcome:#?}");
        assert_eq!(text(&outcome.json, "/status"), "complete", "{row:?}");
        for part in ["limited to 0", "Operation not permitted"] {
            assert!(!outcome.stderr.contains(part), "{row:?}: {}", outcome.stderr);
        }
    }
    server.assert_all_freed(TIMEOUT);
}

/// podperf as the process that `sockets` are passed to, as the descriptors from 3 on.
fn activated(sockets: &[OwnedFd], user: Option<u32>, count: usize) -> (tempfile::TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("podperf");
    std::fs::copy(podperf(None).get_program(), &program).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    // Descriptors are put in their places, and LISTEN_PID is the process's own.
    let own: Vec<String> = sockets.iter().map(|socket| socket.as_raw_fd().to_string()).collect();
    let script = "
import fcntl, os, sys
own = [int(fd) for fd in sys.argv[1].split(',')]
high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in own]
for place, fd in enumerate(high):
    os.dup2(fd, 3 + place)
os.closerange(3 + len(own), 256)
if sys.argv[2]:
    os.setgroups([]); os.setresgid(*[int(sys.argv[2])] * 3); os.setresuid(*[int(sys.argv[2])] * 3)
os.environ.update(LISTEN_FDS=sys.argv[3], LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[4], sys.argv[4:])
";
    let mut command = Command::new("python3");
    let user = user.map_or_else(String::new, |user| user.to_string());
    command.args(["-c", script, &own.join(","), &user, &count.to_string()]).arg(program);
    command.env_remove("PODPERF_TOKEN").stdin(Stdio::null()).current_dir("/");
    (folder, command)
}

/// Not closed when this process becomes another.
fn inherited(socket: impl Into<OwnedFd>) -> OwnedFd {
    let socket = socket.into();
    let flags = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
    nix::fcntl::fcntl(&socket, flags).unwrap();
    socket
}

#[test]
fn sockets_that_are_passed_are_served_on() {
    let is_root = root("sockets_that_are_passed_are_served_on as another user");
    let users: &[Option<u32>] = if is_root { &[None, Some(NOBODY - 3)] } else { &[None] };
    for (&user, with_udp) in users.iter().flat_map(|user| [(user, false), (user, true)]) {
        let port = free_port();
        let address = ("127.0.0.1", port);
        let listener = TcpListener::bind(address).unwrap();
        let udp = with_udp.then(|| {
            let socket = socket2::Socket::from(UdpSocket::bind(address).unwrap());
            // As systemd does.
            socket.set_reuse_address(true).unwrap();
            UdpSocket::from(socket)
        });
        let mut sockets = vec![inherited(listener)];
        sockets.extend(udp.map(inherited));
        let (folder, command) = activated(&sockets, user, sockets.len());
        // Ports that are typed give way.
        let server = Server::launch(command, &["-p", "1", "--bind", "192.0.2.1"]);
        assert_eq!(server.port, port);
        server.wait_for_log("passed by the service manager");
        for row in [&["stream", "-P", "3"][..], &["udp", "-b", "20M", "-P", "3"], &["udp", "--rr"]]
        {
            let target = server.target();
            let times = ["-t", "0.5", "-O", "0.1", "-i", "0.2", "-J"];
            let outcome = podperf_json(&[row, &[target.as_str()], &times].concat());
            assert_eq!(outcome.status, 0, "{user:?} {with_udp} {row:?}: {outcome:#?}");
        }
        drop(folder);
    }
}

#[test]
fn what_is_passed_and_cannot_be_served_on_is_named() {
    let listener = || inherited(TcpListener::bind("127.0.0.1:0").unwrap());
    let datagrams = || inherited(UdpSocket::bind("127.0.0.1:0").unwrap());
    let other = || inherited(UnixDatagram::unbound().unwrap());
    for (sockets, cause) in [
        (vec![listener(), listener()], "two listeners"),
        (vec![datagrams()], "datagrams alone"),
        (vec![listener(), other()], "descriptor 4 is no socket of TCP or UDP"),
    ] {
        let (_folder, mut command) = activated(&sockets, None, sockets.len());
        let output = command.arg("serve").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(cause) && said.contains("ListenStream="), "{cause}: {said}");
    }
    // A UDP socket of another port leaves TCP serving.
    let sockets = [listener(), datagrams()];
    let (_folder, command) = activated(&sockets, None, 2);
    let server = Server::launch(command, &[]);
    server.wait_for_log("runs of datagrams are refused: take the UDP socket that was passed");
    server.assert_serves();
}

#[test]
fn a_service_manager_is_told_when_the_port_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut command = podperf(None);
    command.env("NOTIFY_SOCKET", &path);
    let server = Server::launch(command, &[]);
    let mut bytes = [0; 100];
    let count = manager.recv(&mut bytes).expect("it tells");
    assert!(String::from_utf8_lossy(&bytes[..count]).contains("READY=1"));
    server.assert_serves();
}
