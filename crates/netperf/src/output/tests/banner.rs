//! The first line of all.

use super::*;

#[test]
fn banners_name_the_test() {
    for (test, name, more) in [
        (NetperfTest::TcpStream, "MIGRATED TCP STREAM", ""),
        (NetperfTest::TcpMaerts, "MIGRATED TCP MAERTS", ""),
        (NetperfTest::TcpSendfile, "TCP SENDFILE", ""),
        (NetperfTest::UdpStream, "MIGRATED UDP STREAM", ""),
        (NetperfTest::TcpRr, "MIGRATED TCP REQUEST/RESPONSE", " : first burst 0"),
        (NetperfTest::UdpRr, "MIGRATED UDP REQUEST/RESPONSE", " : first burst 0"),
        (NetperfTest::TcpCrr, "MIGRATED TCP Connect/Request/Response", ""),
        (NetperfTest::TcpCc, "TCP Connect/Close", ""),
        (NetperfTest::Omni, "OMNI Send", ""),
    ] {
        assert_eq!(banner(&options(test), &names()), format!("{name} TEST {WHO}{more}\n"));
    }
    assert_eq!(banner(&options(NetperfTest::Uuid), &names()), "");
}

#[test]
fn banners_tell_what_is_special() {
    let mut asked = options(NetperfTest::TcpRr);
    asked.data.no_delay = true;
    asked.data.burst = Some(4);
    asked.cpus.local = Some(0);
    let goal =
        ConfidenceGoal { level: 95, width_percent: 0.01, iterations: (3, 3), result_only: false };
    asked.confidence = Some(goal);
    assert!(banner(&asked, &names()).ends_with(
        "AF_INET : +/-0.005% @ 95% conf.  : nodelay : demo : first burst 4 : cpu bind\n"
    ));
    let loopback = "::1".to_owned();
    let v6 = Names {
        local_name: "::0".to_owned(),
        local_address: "::".to_owned(),
        remote_name: loopback.clone(),
        remote_address: loopback,
    };
    assert_eq!(
        banner(&options(NetperfTest::TcpStream), &v6),
        "MIGRATED TCP STREAM TEST from ::0 (::) port 0 AF_INET6 to ::1 (::1) port 0 AF_INET6 \
         : demo\n"
    );
}
