//! netserver's command line.

use super::*;
use podperf_model::AddressFamily;

#[test]
fn netserver_is_told_how_to_serve() {
    assert_eq!(netserver(&[]), Ok(ServerOptions::default()));
    let options =
        netserver(&words("-4 -D -f -p20000 -L 10.0.0.1,4 -Z x -N -d -v 2 -n 4 bare")).unwrap();
    assert_eq!(
        options,
        ServerOptions {
            foreground: true,
            one_at_a_time: true,
            host: Some("10.0.0.1".to_owned()),
            family: Some(AddressFamily::V4),
            port: 20000,
            passphrase: Some("x".to_owned()),
            debug: 1,
            verbosity: 2,
            ..ServerOptions::default()
        }
    );
    let line = "--data-port 5000-5010 --allow-client-affinity --idle-timeout=60 \
                --stall-timeout 7 --max-memory 1.5G";
    let options = netserver(&words(line)).unwrap();
    assert_eq!(options.data_ports, Some(5000..=5010));
    assert!(options.allow_client_affinity);
    assert_eq!(options.idle_timeout, Duration::from_secs(60));
    assert_eq!(options.stall_timeout, Duration::from_secs(7));
    assert!(!options.allow_udp_send);
    assert!(netserver(&words("--allow-udp-send -D")).unwrap().allow_udp_send);
    assert_eq!(options.max_memory, Some(podperf_model::units::Bytes(3 << 29)));
    let options = netserver(&words("--policy a/b.toml -D")).unwrap();
    assert_eq!(options.policy, Some("a/b.toml".into()));
    assert_eq!(netserver(&words("--data-port 7")).unwrap().data_ports, Some(7..=7));
    // `-v` takes the next word, whatever it is.
    assert!(netserver(&words("-v -p 1")).unwrap_err().err.starts_with("netserver: -v -p: "));
    for line in [
        "-Q",
        "--x",
        "-p",
        "-p 70000",
        "--data-port 9-8",
        "--data-port 0",
        "--idle-timeout 0",
        "--stall-timeout 0",
        "--max-memory 3M",
        "--max-memory all",
        "--policy",
        "--policy a.toml -Z x",
    ] {
        let refused = netserver(&words(line)).unwrap_err();
        assert!(refused.err.starts_with("netserver: ") && refused.status == 1, "{line}");
    }
    let version = netserver(&words("-V")).unwrap_err();
    assert!(version.out.starts_with("Netperf version 2.7.1\n") && version.status == 0);
}
