//! What `-h` and `-V` print.
//!
//! Pure text.

/// First the version that clients of netperf look for, then podperf's.
pub(super) fn version() -> String {
    format!("Netperf version 2.7.1\npodperf version {}\n", env!("CARGO_PKG_VERSION"))
}

/// Of netperf.
pub(super) const NETPERF: &str = "\
Usage: netperf [options] [-- [options of the test]]

Where to and what:
  -H HOST[,4|6]      host of netserver (localhost)
  -p PORT[,OWN]      its port (12865), and the own one of the control connection
  -L HOST[,4|6]      own address
  -4, -6             IPv4 or IPv6
  -t TEST            TCP_STREAM, TCP_MAERTS, TCP_SENDFILE, TCP_RR, TCP_CRR, TCP_CC,
                     UDP_STREAM, UDP_RR, OMNI, UUID, LOC_CPU, REM_CPU (TCP_STREAM)
  -l N               seconds (10); below 0: bytes or transactions; 0: until SIGINT or SIGALRM
  -Z TEXT            passphrase that netserver asks for

What is measured beside it:
  -c, -C             CPU here, CPU at netserver
  -j                 latency statistics
  -D SEC             a result every so many seconds
  -I LEVEL,WIDTH     repeat for this confidence: 95 or 99, width in percent
  -i MOST,LEAST      repeat so often, 3 to 30 times
  -r                 confidence of the result alone, not of CPU

What is printed:
  -P 0|1             banner and column headers off, on (1)
  -v N               0: one figure; 1: a table; 2: more (1)
  -f UNIT            g m k b: bits by 1000; G M K B: bytes by 1024; x: transactions; u: microseconds
  -B TEXT            a tag for the result

How it is done:
  -s SEC             wait before the data connection
  -T OWN[,OTHER]     CPU to run on, here and at netserver
  -b N[,N] -w T[,T]  so many operations every T, of m (milliseconds), u or s; both are needed
  -F FILE[,FILE]     send what is in a file
  -Y TOS[,TOS]       TOS octet or traffic class, as af41, cs6, ef or a number
  -y N[,N]           SO_PRIORITY
  -S                 SO_KEEPALIVE
  -d                 say more of what is done

podperf's own:
  --json             one JSON document instead of netperf's output
  --streams N        so many data connections, started and measured together (1)
  --peer-timeout SEC how long netserver may say nothing, or not a byte may move
  --percentiles P,P  further percentiles of latency
  --native auto|off  use what only podperf has, where both ends are podperf (auto)
  --help, -h, -V     this text; the version

Accepted without effect: -a -A -k -K -n -o -O -W. `netperf -- -h` shows the options of the test.
Numbers: K M G count 1024, 1024^2, 1024^3; k m g count 10^3, 10^6, 10^9. A pair's half may be left
out, as ,VALUE or VALUE,. More in docs/NETPERF.md.
";

/// Of the test's options.
pub(super) const TEST: &str = "\
Usage: netperf [options] -- [options of the test]

Sizes:
  -m OWN[,OTHER]     bytes of each send, here and at netserver
  -M OTHER[,OWN]     bytes of each receive, at netserver and here
  -r REQ[,RSP]       bytes of request and response (1,1)
  -s SND[,RCV]       own socket buffers
  -S SND[,RCV]       netserver's socket buffers
  -b N               requests in flight beyond the first

Which data connection:
  -H HOST[,4|6]      data goes there, not to the host of netserver
  -L HOST[,4|6]      data comes from there
  -P OWN[,OTHER]     data ports; a lone one is for both ends
  -p LOW[,HIGH]      own ports of CRR and CC
  -4, -6             IPv4 or IPv6
  -T tcp|udp         transport protocol
  -d DIRECTION       of omni: send, recv, rr, crr, or 2, 4, 6
  -c                 a connection for each transaction, or connections alone

Sockets:
  -D                 TCP_NODELAY on both ends
  -C                 TCP_CORK
  -K OWN[,OTHER]     congestion control
  -G N               TCP_MAXSEG
  -q N               pacing by the kernel in bytes per second
  -R 0|1             routing off, on (1)
  -V                 avoid copies
  -f                 datagrams are not fragmented
  -e SEC             wait so long for a UDP response

Output:
  -o [LIST]          comma-separated values
  -O [LIST]          columns
  -k [LIST]          KEY=VALUE
                     LIST: names with commas, `;` between up to 4 blocks; `all`; a file of names;
                     `?` lists the names
  -u TEXT            UUID to report

Accepted without effect: -a -B -F -g -I -i -j -l -n -N -t -U -w -W -X -z. More in docs/NETPERF.md.
";

/// Of netserver.
pub(super) const NETSERVER: &str = "\
Usage: netserver [options]

  -D                 stay in the foreground
  -f                 one connection at a time
  -p PORT            port for control connections (12865)
  -L HOST[,4|6]      address to listen on (all)
  -4, -6             IPv4 or IPv6 alone
  -Z TEXT            passphrase that a client has to send first
  -d                 say more of what is done
  -v N               the same by number (1)
  -h, --help, -V     this text; the version

podperf's own:
  --data-port PORT[-HIGH]   clients that ask for no data port are sent there
  --allow-client-affinity   other hosts may choose the CPU that serves them (netperf -T)
  --allow-udp-send          datagrams are sent before the client has proved that it wants them
  --drain SEC               at SIGTERM or SIGINT, tests under way may go on so long (3)
  --idle-timeout SEC        end a connection that is silent so long between tests (300)
  --log text|json           log what happens; json: an object a line, one for each test
  --max-memory SIZE         memory of all tests together, of which one takes at most half
  --stall-timeout SEC       end a test in which nothing moves for so long (20)
  --policy FILE             who may come and how much each may have (docs/SERVER.md)

Accepted without effect: -n -N. More in docs/NETPERF.md.
";
