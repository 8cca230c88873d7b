//! The command lines that netperf's known users type.

use super::*;
use podperf_model::AddressFamily;

#[test]
fn k8s_netperf() {
    let line = "-s 2 -H 10.1.2.3 -l 30 -t TCP_STREAM -- -k rt_latency,p99_latency,throughput,\
                throughput_units,remote_recv_calls,local_send_calls,local_transport_retrans \
                -m 1024 -P 42424";
    let options = quiet(line);
    assert_eq!(options.settle, Duration::from_secs(2));
    assert_eq!(options.length, TestLength::Time(Duration::from_secs(30)));
    assert_eq!(options.data.ports, pair(42424, 42424));
    assert_eq!(options.data.send_bytes, pair(Some(1024), None));
    assert_eq!(options.data.selection.as_ref().unwrap().format, Format::KeyValue);
    assert_eq!(names(&options)[..2], ["RT_LATENCY", "P99_LATENCY"]);
    assert_eq!(names(&options).len(), 7);
    assert!(wants_latency(&options), "a percentile needs each operation timed");
    assert_eq!(options.command_line, format!("netperf {line}"));

    let options = quiet("-H h -t UDP_STREAM -- -m 1024 -R 1 -k throughput,rt_latency");
    assert_eq!(options.shape.protocol, Protocol::Udp);
    assert!(options.data.routing && !wants_latency(&options));
    let options = quiet("-H h -t TCP_RR -- -k throughput -r 64,128 -b 16");
    assert_eq!((options.data.request_bytes, options.data.response_bytes), (64, 128));
    assert_eq!(options.data.burst, Some(16));
    // The probe has a bare word behind `--`.
    assert_eq!(quiet("-H h -l 1 -- 42424").data, DataOptions::default());
}

#[test]
fn cilium() {
    let options = quiet(
        "-H 10.0.0.7 -l 10s -t TCP_CRR -- -R 1 -o MIN_LATENCY,MEAN_LATENCY,MAX_LATENCY,P50_LATENCY,\
         P90_LATENCY,P99_LATENCY,TRANSACTION_RATE,THROUGHPUT,THROUGHPUT_UNITS",
    );
    assert_eq!(options.length, TestLength::Time(Duration::from_secs(10)));
    assert_eq!(options.shape.direction, TestDirection::ConnectRequestResponse);
    assert_eq!(options.data.selection.as_ref().unwrap().format, Format::Csv);
    assert_eq!(names(&options).len(), 9);
    assert!(wants_latency(&options));
}

#[test]
fn flent() {
    let options = quiet(
        "-P 0 -v 0 -D -0.20 -4 -Y 0x0,0x0 -H ctl -p 12865 -t UDP_RR -l 60 -F /dev/urandom -f m \
         -L 10.0.0.1,4 -- -e 2 -m 1K -M 2K -L 10.0.0.1,4 -H data -k THROUGHPUT,COMMAND_LINE -K bbr",
    );
    assert!(!options.header);
    assert_eq!(options.verbosity, 0);
    assert_eq!(options.interim, Some(Duration::from_millis(200)));
    assert_eq!(options.family, Some(AddressFamily::V4));
    assert_eq!(options.tos, pair(None, None));
    assert_eq!(options.fill, pair(Some("/dev/urandom".to_owned()), None));
    assert_eq!(options.unit, Some(Unit::Bits(2)));
    assert_eq!(options.local_host.as_deref(), Some("10.0.0.1"));
    let data = &options.data;
    assert_eq!(data.receive_timeout, Some(Duration::from_secs(2)));
    assert_eq!(data.send_bytes, pair(Some(1024), None));
    assert_eq!(data.receive_bytes, pair(None, Some(2048)));
    assert_eq!(
        (data.host.as_deref(), data.local_host.as_deref()),
        (Some("data"), Some("10.0.0.1"))
    );
    assert_eq!(data.congestion_control, pair(Some("bbr".to_owned()), Some("bbr".to_owned())));
    assert_eq!(quiet("-l 1 -D -0.2 -- -e 1").interim, Some(Duration::from_millis(200)));
    assert_eq!(quiet("-l -1000").length, TestLength::Units(1000));
}

#[test]
fn perfkit_benchmarker() {
    let options = quiet(
        "-p 20000 -j -v2 -t OMNI -H 10.0.0.2 -L 10.0.0.1 -l 60 -I 99,5 -i 3,3 -- -T TCP -d RR \
         -P ,20001 -o THROUGHPUT,P50_LATENCY,CONFIDENCE_ITERATION -R 1 -G 1460b -X 1,2,3",
    );
    assert_eq!(options.ports, pair(0, 20000));
    assert_eq!((options.verbosity, options.statistics), (2, true));
    assert_eq!(options.shape.direction, TestDirection::RequestResponse);
    assert_eq!(options.data.ports, pair(0, 20001));
    assert_eq!(options.data.mss, Some(1460));
    let goal = options.confidence.unwrap();
    assert_eq!((goal.level, goal.width_percent, goal.iterations), (99, 5.0, (3, 3)));

    let shape = |line| quiet(line).shape.direction;
    assert_eq!(shape("-t OMNI -- -T TCP -d STREAM -m 1 -M 1"), TestDirection::Send);
    assert_eq!(shape("-t OMNI -- -T TCP -d CRR"), TestDirection::ConnectRequestResponse);
    assert_eq!(
        shape("-p 1 -j -t TCP_MAERTS -H h -l 9 -- -P ,2 -o THROUGHPUT"),
        TestDirection::Receive
    );
    let options = quiet(
        "-H h -D 0.5 -c -C -f x -P 0 -t omni -l 7200 -v 2 -- -r 1 -b 4 -e 1 -T udp -u UUID -o all",
    );
    assert_eq!(options.shape.protocol, Protocol::Udp);
    assert_eq!(options.shape.direction, TestDirection::RequestResponse);
    assert_eq!(options.cpu, pair(true, true));
    assert_eq!(options.unit, Some(Unit::Transactions));
    assert_eq!(options.data.uuid.as_deref(), Some("UUID"));
    assert_eq!(names(&options), ["ALL"]);
}

#[test]
fn the_others() {
    let options = quiet("-H 10.0.0.1 -t TCP_RR -- -o min_latency,mean_latency,stddev_latency");
    assert_eq!(names(&options)[0], "MIN_LATENCY");
    let options = quiet("-l 60 -j -H h -t tcp_rr -s 2 -- -P ,8000 -k THROUGHPUT,NO_SUCH_NAME -D");
    assert_eq!(names(&options), ["THROUGHPUT", "NO_SUCH_NAME"]);
    assert!(options.data.no_delay);
    let options =
        quiet("-4 -H 127.0.0.1 -t TCP_SENDFILE -c -C -l 300 -- -m 10K -s 128K -S 256K,1M");
    assert_eq!(options.data.send_bytes.local, Some(10240));
    let buffers = |send, receive| Buffers { send: Some(send), receive: Some(receive) };
    assert_eq!(options.data.buffers.local, buffers(131_072, 131_072));
    assert_eq!(options.data.buffers.remote, buffers(262_144, 1_048_576));
    let options =
        quiet("-4 -i 3,3 -I 95,5 -l 5 -f m -D 1 -t UDP_STREAM -H h -- -s 851968 -m 9 -M 9");
    assert_eq!(options.confidence.unwrap().level, 95);
    let options = quiet("-4 -H h -t TCP_MAERTS -l 60 -v 0 -P 0 -Z secret");
    assert_eq!(options.passphrase.as_deref(), Some("secret"));
    let options = quiet("-D 1 -H h -l 9 -C -c -t TCP_MAERTS -- -m ,16K");
    assert_eq!(options.data.send_bytes, pair(None, Some(16384)));
    let options = quiet("-D 1 -H h -t TCP_CRR -v 1 -- -b 10 -D -r 8,8");
    assert!(options.data.no_delay);
    assert_eq!(options.data.request_bytes, 8);
    let goal = quiet("-H h -t TCP_RR -l 1 -i 2,10").confidence.unwrap();
    assert_eq!((goal.level, goal.width_percent, goal.iterations), (99, 5.0, (10, 10)));
    let mut lisa = words("-L a -H b -p 30000 -t TCP_RR -n 4 -l 150 -D 1 -- -O");
    lisa.push("THROUGHPUT, THROUGHPUT_UNITS, MIN_LATENCY".into());
    let options = run(&lisa);
    assert_eq!(names(&options), ["THROUGHPUT", "THROUGHPUT_UNITS", "MIN_LATENCY"]);
    assert_eq!(options.data.selection.unwrap().format, Format::Human);
    let options = quiet("-H h -l2 -t TCP_RR -- -P5000 -r 1,1 -o mean_latency");
    assert_eq!(
        (options.length, options.data.ports),
        (TestLength::Time(Duration::from_secs(2)), pair(5000, 5000))
    );
}
