"""How the programs that drive netperf read what it prints, each by its own rules.

Enters: the text of one run. Leaves: figures, or Broken, which says what rule the text breaks. The
rules are those of the programs named, written anew from what they look for.
"""

import csv
import re

DECIMAL = re.compile(r"-?\d+(\.\d+)?")  # what bc and a plain float reader agree on


class Broken(Exception):
    """A text that a client of netperf could not read."""


def demand(holds, rule, text):
    """Raises Broken unless a rule holds."""
    if not holds:
        raise Broken(f"{rule}, in:\n{text}")


def number(word, what, text):
    """A plain decimal: no exponent, no nan, no sign but minus."""
    demand(DECIMAL.fullmatch(word), f"{what} is {word!r}, which is no plain decimal", text)
    return float(word)


def perf_tests(text):
    """kubernetes/perf-tests: the fourth word after three integers in a row, Mbit/s."""
    found = re.search(r"\s+\d+\s+\d+\s+\d+\s+\S+\s+(\S+)\s+", text)
    demand(found, "no three integers in a row before the result", text)
    return number(found[1], "the result", text)


def awk(text, line, field):
    """`tail -n LINE | head -n 1 | awk '{print $FIELD}'`."""
    lines = text.splitlines()
    demand(len(lines) >= line, f"fewer than {line} lines", text)
    fields = lines[-line].split()
    demand(len(fields) >= field, f"no field {field} in {lines[-line]!r}", text)
    return number(fields[field - 1], f"field {field}", text)


def mesh(text, processes=1):
    """PerfKitBenchmarker's mesh_network: numbers with a blank before the end of their line."""
    found = re.findall(r"(\d+\.\d+)\s+\n", text)
    demand(len(found) == processes, f"{len(found)} numbers before a line's end, of {processes}",
           text)
    return sum(float(word) for word in found)


def super_netperf(text, copies):
    """The sum that super_netperf.sh prints."""
    words = text.split()
    demand(len(words) == 2, "not a sum and the number of its parts", text)
    demand(int(words[1]) == copies, f"{words[1]} results, of {copies}", text)
    return number(words[0], "the sum", text)


def key_values(text, header=True):
    """Lines of KEY=VALUE under a banner."""
    lines = text.splitlines()
    if header:
        demand(lines and "=" not in lines[0], "no banner", text)
        lines = lines[1:]
    found = {}
    for line in lines:
        key, sign, value = line.partition("=")
        demand(sign and re.fullmatch(r"[A-Z0-9_]+(\[\d+\])?", key), f"{line!r} is no KEY=VALUE",
               text)
        demand(key not in found, f"{key} twice", text)
        found[key] = value
    return found


def k8s_netperf_script(text):
    """The shell part of k8s-netperf: the title, and six lines for its other part."""
    lines = text.splitlines()
    demand(lines, "no line", text)
    kept, units = [lines[0]], None
    names = ("THROUGHPUT", "LOCAL_SEND_CALLS", "REMOTE_RECV_CALLS", "LOCAL_TRANSPORT_RETRANS",
             "RT_LATENCY", "P99_LATENCY")
    values = {}
    for line in lines[1:]:
        if "UNITS" in line:
            units = line
        for name in names:
            if line.startswith(f"{name}="):
                values[name] = line.partition("=")[2]
    demand(units, "no line with UNITS", text)
    for name in names:
        demand(name in values, f"no {name}", text)
        number(values[name], name, text)  # bc would fail
        kept.append(f"{name}={values[name]}")
    return "\n".join([*kept, units]) + "\n"


def k8s_netperf(text, stream, untold):
    """k8s-netperf: both parts; it tells streams and UDP, whose retransmits are untold, by values.

    Of TCP_CRR netperf tells them or not, as its last connection is there or gone: None.
    """
    passed = k8s_netperf_script(text)
    lines = [line.rstrip("\r") for line in passed.splitlines()]
    demand(len(lines) >= 5, "fewer than 5 lines", text)
    found = dict(line.split("=", 1) for line in lines[1:])
    demand((found["RT_LATENCY"] == "-1.000") == stream,
           f"RT_LATENCY={found['RT_LATENCY']}, which is -1.000 for streams alone", text)
    demand(untold is None or (float(found["LOCAL_TRANSPORT_RETRANS"]) < 0) == untold,
           f"LOCAL_TRANSPORT_RETRANS={found['LOCAL_TRANSPORT_RETRANS']}, which is negative where "
           "they are untold alone", text)
    result = {"throughput": float(found["THROUGHPUT"]), "units": found["THROUGHPUT_UNITS"],
              "p99": float(found["P99_LATENCY"])}
    if untold and stream:
        sent, received = float(found["LOCAL_SEND_CALLS"]), float(found["REMOTE_RECV_CALLS"])
        demand(sent > 0, "nothing sent", text)
        result["loss_percent"] = 100 - received / sent * 100
    return result


def cilium(text, streams, stream):
    """Cilium's `connectivity perf`: lines led by a digit, of nine fields."""
    rows = [line for line in text.splitlines() if line[:1].isdigit()]
    demand(len(rows) == streams, f"{len(rows)} lines led by a digit, of {streams}", text)
    found = []
    for row in rows:
        fields = row.split(",")
        demand(len(fields) == 9, f"{len(fields)} fields, of 9", text)
        # "us" is appended, and Go's reader of durations takes it.
        latencies = [number(field, "a duration", text) for field in fields[:6]]
        rate = number(fields[6], "the rate", text)
        throughput = number(fields[7], "the throughput", text)
        if stream:
            demand(fields[8] == "10^6bits/s", f"unit {fields[8]!r}", text)
        found.append({"latencies": latencies, "rate": rate, "throughput": throughput,
                      "units": fields[8]})
    return found


FLENT_KEYS = ("THROUGHPUT,LOCAL_CONG_CONTROL,REMOTE_CONG_CONTROL,TRANSPORT_MSS,"
              "LOCAL_TRANSPORT_RETRANS,REMOTE_TRANSPORT_RETRANS,LOCAL_SOCKET_TOS,"
              "REMOTE_SOCKET_TOS,DIRECTION,ELAPSED_TIME,PROTOCOL,LOCAL_SEND_SIZE,LOCAL_RECV_SIZE,"
              "REMOTE_SEND_SIZE,REMOTE_RECV_SIZE,LOCAL_BYTES_SENT,LOCAL_BYTES_RECVD,"
              "REMOTE_BYTES_SENT,REMOTE_BYTES_RECVD")


def flent_probe(out, err):
    """Flent's question what netperf can do; whether it has a timeout for UDP's answers."""
    demand("Demo Mode not configured" not in out, "no interim results", out)
    demand("invalid option -- '0'" not in err, "-D takes no value with a sign", err)
    return "netperf: invalid option -- 'e'" not in err


def flent(out, err):
    """Flent: samples (end, interval, value), the other values, and TCP's state from stderr."""
    found = key_values(out, header=False)
    samples = []
    while f"NETPERF_INTERVAL[{len(samples)}]" in found:
        samples.append(tuple(
            number(found.pop(f"NETPERF_{name}[{len(samples)}]", "absent"), name, out)
            for name in ("ENDING", "INTERVAL", "INTERIM_RESULT")))
    demand(samples, "no samples", out)
    found = {key: value for key, value in found.items() if not key.startswith("NETPERF_UNITS[")}
    demand(not [key for key in found if "[" in key], "samples with a gap in their numbers", out)
    for name in FLENT_KEYS.split(","):
        demand(name in found, f"no {name}", out)
    for name in ("LOCAL_SOCKET_TOS", "REMOTE_SOCKET_TOS"):
        demand(re.fullmatch(r"0x[0-9a-f]+", found[name]), f"{name}={found[name]}", out)
        found[name] = int(found[name], 16)
    for name in ("TRANSPORT_MSS", "LOCAL_TRANSPORT_RETRANS", "REMOTE_TRANSPORT_RETRANS"):
        demand(re.fullmatch(r"-?\d+", found[name]), f"{name}={found[name]}", out)
    number(found["THROUGHPUT"], "THROUGHPUT", out)
    state = {}
    for line in err.splitlines():
        if not line.startswith("tcpi"):
            continue
        words = line.split()
        demand(len(words) % 2 == 0, f"a key without a value in {line!r}", err)
        for key, value in zip(words[::2], words[1::2]):
            if key.startswith("tcpi"):
                demand(value.isdigit(), f"{key} {value}", err)
                state[key] = int(value)
    return samples, found, state


PKB_KEYS = ("THROUGHPUT,THROUGHPUT_UNITS,P50_LATENCY,P90_LATENCY,P99_LATENCY,STDDEV_LATENCY,"
            "MIN_LATENCY,MAX_LATENCY,CONFIDENCE_ITERATION,THROUGHPUT_CONFID,"
            "LOCAL_TRANSPORT_RETRANS,REMOTE_TRANSPORT_RETRANS,TRANSPORT_MSS")
PKB_COLUMNS = {
    "Throughput", "Throughput Units", "50th Percentile Latency Microseconds",
    "90th Percentile Latency Microseconds", "99th Percentile Latency Microseconds",
    "Stddev Latency Microseconds", "Minimum Latency Microseconds",
    "Maximum Latency Microseconds", "Confidence Iterations Run",
    "Throughput Confidence Width (%)", "Local Transport Retransmissions",
    "Remote Transport Retransmissions", "Transport MSS bytes"}


def pkb(text, histogram):
    """PerfKitBenchmarker: banner, a CSV header and a row; the histogram where it asks for one."""
    lines = text.splitlines()
    demand(lines and lines[0].startswith(("OMNI", "MIGRATED")), "the first line is no banner", text)
    demand(len(lines) >= 3, "no CSV header and row", text)
    header, row = csv.reader(lines[1:3])
    demand(len(header) == len(row), f"{len(header)} headers, {len(row)} cells", text)
    found = dict(zip(header, row))
    demand(PKB_COLUMNS <= set(header), f"no {PKB_COLUMNS - set(header)}", text)
    demand(found["Throughput Units"] in ("10^6bits/s", "Trans/s"),
           f"unit {found['Throughput Units']!r}", text)
    for name in PKB_COLUMNS - {"Throughput Units"}:
        found[name] = number(found[name], name, text)
    if histogram:
        found["histogram"] = pkb_histogram(text)
    return found


def pkb_histogram(text):
    """Buckets, lower bound in us -> count: the first row spans 0-10 us, the next ten times more."""
    begin, end = text.find("UNIT_USEC"), text.find(">100_SECS")
    demand(0 <= begin < end, "no rows from UNIT_USEC to >100_SECS", text)
    found = {}
    for order, line in enumerate(text[begin:end].splitlines()):
        cells = line.split(":")[1:]
        demand(cells, f"{line!r} has no cells", text)
        for at, cell in enumerate(cells):
            demand(cell.strip().isdigit(), f"cell {cell!r}", text)
            if int(cell):
                found[at * 10 ** (order + 1) / len(cells)] = int(cell)
    demand(found, "an empty histogram", text)
    return found


def submariner(text):
    """Submariner: banner, CSV header, CSV values."""
    lines = text.splitlines()
    demand(len(lines) == 3, f"{len(lines)} lines, of 3", text)
    demand(lines[1] == "Minimum Latency Microseconds,Mean Latency Microseconds,"
                       "Maximum Latency Microseconds,Stddev Latency Microseconds,"
                       "Transaction Rate Tran/s", f"header {lines[1]!r}", text)
    return [number(word, "a value", text) for word in lines[2].split(",")]


def kubenetbench(text):
    """kubenetbench: the lines with THROUGHPUT, found after a blank or at the line's begin."""
    found = re.findall(r"^THROUGHPUT=(\S+)$", text, re.M)
    demand(len(found) == 1, f"{len(found)} lines with THROUGHPUT=", text)
    return number(found[0], "THROUGHPUT", text)


def lkp(text):
    """LKP: header words give the index of the value in the rows; the value and its unit."""
    at = unit = None
    values = []
    columns = []
    for line in text.splitlines():
        words = line.split()
        if re.match(r"Socket.*Elapsed", line):
            columns = words
        elif re.match(r"Size\s+Size\s+", line) and "Throughput" in words:
            at = words.index("Throughput")
        elif re.match(r"Send\s+Recv\s+", line):
            demand("Rate" in words, "no Rate", text)
            at = words.index("Rate")
        elif re.match(r"bytes.*secs.*10\^6bits", line):
            unit = "10^6bits"
        elif re.match(r"bytes.*secs.\s+per sec", line):
            unit = "per sec"
        elif re.search(r"\d+\s+\d+\s+\d+\s+\d+", line):
            demand(at is not None and unit, "a row before its header", text)
            demand(len(words) > at, f"no word {at + 1} in {line!r}", text)
            values.append(number(words[at], "the value", text))
        elif re.match(r"\d+\s+\d+\.\d+\s+\d+\s+", line):
            # A receiver's row lacks the size of messages, and errors.
            demand("Message" in columns and "Elapsed" in columns, "no Message and Elapsed", text)
            values.append(number(words[at - 2], "the receiver's value", text))
    demand(values, "no row", text)
    return values, unit


def interim(text):
    """MMTests, avocado-vt: every interim result."""
    found = re.findall(r"^Interim result: *(\S+) (\S+) over (\S+) seconds ending at (\S+)$", text,
                       re.M)
    demand(found, "no interim results", text)
    return [(number(value, "a value", text), unit, number(took, "an interval", text),
             number(end, "an end", text)) for value, unit, took, end in found]


def classic(text):
    """MMTests: the last field of the row of the classic table; RR has a second row of two."""
    rows = [line.split() for line in text.splitlines() if re.match(r"\s*\d[\d\s.]*$", line)]
    demand(rows, "no row", text)
    return number(rows[0][-1], "the result", text)


def avocado(text):
    """avocado-misc-tests: the last word, if some line ends in the word Throughput."""
    demand(any(line.rstrip().endswith("Throughput") for line in text.splitlines()),
           "no line ends in Throughput", text)
    return number(text.split()[-1], "the last word", text)


def betterspeedtest(out, err):
    """betterspeedtest.sh: first fields of each line, summed; a byte on stderr is a failure."""
    demand(not err, f"stderr has {err!r}", out)
    demand(out.strip(), "nothing", out)
    return sum(number(line.split()[0], "a line", out) for line in out.splitlines() if line.split())


def phoronix(text):
    """Phoronix Test Suite: after `grep -v is`, a number and nothing else."""
    kept = "\n".join(line for line in text.splitlines() if "is" not in line)
    return number(kept.strip(), "the output", text)


def lisa(text):
    """Microsoft LISA reads nothing; what it asked for with -O must stand there."""
    lines = text.splitlines()
    demand(any(line.startswith("Throughput Throughput") for line in lines), "no header", text)
    return number(lines[-1].split()[0], "the throughput", text)


def steadybit(text):
    """steadybit's end-to-end tests: the third line, a float."""
    lines = text.splitlines()
    demand(len(lines) >= 3, "fewer than 3 lines", text)
    return number(lines[2].strip(), "line 3", text)


def migrate(text):
    """tp-qemu: how many clients are up."""
    return text.count("MIGRATE")


def aggregate(text):
    """netperf's own post_proc.py: interim results of any of its three forms, (end, value)."""
    found, keyed = [], {}
    for line in text.splitlines():
        words = line.split()
        if line.startswith("Interim result:"):
            demand(len(words) >= 10, f"{line!r}: fewer than 10 words", text)
            found.append((number(words[9], "an end", text), number(words[2], "a value", text)))
        elif key := re.match(r"NETPERF_([A-Z_]+)\[(\d+)\]=(.*)$", line):
            keyed.setdefault(int(key[2]), {})[key[1]] = key[3]
        elif len(words := line.split(",")) == 4 and DECIMAL.fullmatch(words[0]):
            found.append((number(words[3], "an end", text), number(words[0], "a value", text)))
    for part in keyed.values():
        demand(len(part) == 4, f"{part}: not four lines", text)
        found.append((number(part["ENDING"], "an end", text),
                      number(part["INTERIM_RESULT"], "a value", text)))
    demand(found, "no interim results", text)
    return found
