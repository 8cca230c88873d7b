"""What is printed, to the byte but for measured numbers: each pair's text against netperf's own.

The real netperf against the real netserver is the model, in this very run. Numbers that are measured
are masked, then texts must be equal. Rows of the classic tables are also written anew from their
values, by the layouts that the reference gives: that holds what a mask would hide, the columns.
"""

import atexit
import functools
import re
import unittest

import hosts
import clients
from hosts import SERVER4, SERVER6

# Short by count, so that the whole of the table takes seconds. -> (length, words after --)
SHAPES = {
    "TCP_STREAM": ("-2000000", []),
    "TCP_MAERTS": ("-2000000", []),
    "TCP_SENDFILE": ("-2000000", []),
    "UDP_STREAM": ("-40000", ["-m", "1000", "-R", "1"]),
    "TCP_RR": ("-300", []),
    "UDP_RR": ("-300", []),
    "TCP_CRR": ("-300", []),
    "TCP_CC": ("-300", []),
    "OMNI": ("-2000000", []),
}
OLD = ("TCP_SENDFILE", "TCP_CC")  # netperf's -o, -O and -k do not belong to them; podperf's do
LIST = "THROUGHPUT,throughput_units,ELAPSED_TIME,Protocol,DIRECTION,REQUEST_SIZE,RT_LATENCY"

# Options before and after --, of every test.
CLASSIC = {
    "default": ([], []),
    "no header": (["-P", "0"], []),
    "one number": (["-v", "0"], []),
    "only a number": (["-P", "0", "-v", "0"], []),
    "more": (["-v", "2"], []),
    "more, no header": (["-v2", "-P0"], []),
    "cpu": (["-c", "-C"], []),
    "cpu, no header": (["-P", "0", "-c", "-C"], []),
    "cpu of netperf": (["-c"], []),
    "cpu of netserver": (["-C"], []),
    "cpu rate": (["-c", "100", "-C", "100"], []),
    "cpu, one number": (["-P", "0", "-v", "0", "-c", "-C"], []),
    **{f"unit {unit}": (["-f", unit], []) for unit in "mkgKMGx"},
    **{f"unit {unit}, cpu": (["-f", unit, "-c", "-C"], []) for unit in "mM"},
    "tag": (["-P", "0", "-B", "a tag"], []),
    "tag, one number": (["-P", "0", "-v", "0", "-B", "tag"], []),
    "tag, cpu": (["-P", "0", "-c", "-C", "-B", "tag"], []),
    "tag under a header": (["-B", "tag"], []),
    "no confidence": (["-I", "95,0.00001", "-i", "3,3"], []),
    "confidence of the result": (["-r", "-I", "95,0.00001", "-i", "3,3"], []),
    "no delay": ([], ["-D"]),
    "ipv6": (["-6", "-H", SERVER6], []),
    "own address": (["-L", hosts.CLIENT4], []),
    "data address": ([], ["-H", SERVER4, "-L", hosts.CLIENT4]),
    "words in between": (["word", "-P", "1"], ["another"]),
    "cpus": (["-T", "0,0"], []),
    "small sends": ([], ["-m", "500"]),
    "buffers": ([], ["-s", "20K", "-S", "32K"]),
    "layout": (["-v", "2", "-a", "16,32", "-o", "4,2", "-W", "3,4"], []),
}
OMNI = {
    "csv": ([], ["-o", LIST]),
    "csv, no header": (["-P", "0"], ["-o", LIST]),
    "csv, default": ([], ["-o"]),
    "csv, unknown": ([], ["-o", "THROUGHPUT,BOGUS_NAME,ELAPSED_TIME"]),
    "csv, tag": (["-B", "tag"], ["-o", "RESULT_BRAND,THROUGHPUT_UNITS"]),
    "csv, cpu": (["-c", "-C"], ["-o"]),
    "csv, all": ([], ["-o", "all"]),
    "keys": ([], ["-k", LIST]),
    "keys, no header": (["-P", "0"], ["-k", LIST]),
    "keys, default": ([], ["-k"]),
    "keys, unknown": ([], ["-k", "THROUGHPUT,BOGUS_NAME;ELAPSED_TIME"]),
    "keys, with blanks": ([], ["-k", "THROUGHPUT, ELAPSED_TIME"]),
    "keys, cpu": (["-c", "-C"], ["-k"]),
    "keys, cpu of netserver": (["-C"], ["-k"]),
    "keys, all": (["-j"], ["-k", "all"]),
    "keys, command": ([], ["-k", "THROUGHPUT_UNITS,COMMAND_LINE,UUID", "-u", "one"]),
    "keys, no statistics": ([], ["-k", "CONFIDENCE_LEVEL,CONFIDENCE_ITERATION,BURST_SIZE"]),
    "keys, confidence": (["-I", "95,0.00001", "-i", "3,3"], ["-k", "CONFIDENCE_LEVEL,"
                         "CONFIDENCE_INTERVAL,CONFIDENCE_ITERATION,THROUGHPUT_CONFID"]),
    "keys, one number": (["-v", "0"], ["-k", LIST]),
    "keys, unit": (["-f", "k"], ["-k", "THROUGHPUT,THROUGHPUT_UNITS"]),
    "human": ([], ["-O", LIST]),
    "human, no header": (["-P", "0"], ["-O", LIST]),
    "human, default": ([], ["-O"]),
    "human, blocks": ([], ["-O", "THROUGHPUT,THROUGHPUT_UNITS;ELAPSED_TIME,MEAN_LATENCY"]),
    "human, cpu": (["-c", "-C"], ["-O"]),
    "human, all": ([], ["-O", "all"]),
}
# What netperf cannot do.
EXCEPT = {
    ("TCP_CC", "confidence"): "netperf compares bytes, of which there are none, and is content",
    **{(test, "unit"): "netperf shows a bandwidth below a heading of transactions; podperf heads it"
       for test in ("TCP_CRR", "TCP_CC")},
    ("TCP_SENDFILE", "confidence"): "by count it goes on after its own end, and meets a reset",
}
# Of some tests: test, options before and after --.
SOME = {
    # For a time: by count netserver may be gone while the last of a burst is sent.
    "burst": ("TCP_RR", ["-l", "1"], ["-b", "4"]),
    "burst, udp": ("UDP_RR", ["-l", "1"], ["-b", "4"]),
    "burst, keys": ("TCP_RR", ["-l", "1"], ["-b", "4", "-k", "BURST_SIZE,THROUGHPUT_UNITS"]),
    "sizes": ("TCP_RR", [], ["-r", "100,2000"]),
    "sizes, unit": ("TCP_RR", ["-f", "m", "-v", "2"], ["-r", "16K"]),
    # For a time that CPU can be told of.
    **{f"no confidence, cpu, {test}": (
        test, ["-l", "1", "-I", "99,0.00001", "-i", "3,3", "-c", "-C"], [])
       for test in ("TCP_STREAM", "UDP_STREAM", "TCP_RR")},
    "in lower case": ("tcp_rr", [], []),
    "omni, receive": ("OMNI", [], ["-d", "recv"]),
    "omni, requests": ("OMNI", ["-v", "2", "-l", "-300"], ["-d", "rr"]),
    "omni, connections": ("OMNI", ["-l", "-300"], ["-d", "rr", "-c"]),
    # Its socket type is called Stream by netperf.
    "omni, udp": ("OMNI", ["-l", "-300"], ["-T", "udp", "-d", "rr", "-k", "PROTOCOL,DIRECTION"]),
    "omni, both": ("OMNI", ["-l", "-300"], ["-d", "send|recv"]),
    "own cpus": ("LOC_CPU", [], []),
    "own cpus, more": ("LOC_CPU", ["-v", "2"], []),
    "other cpus": ("REM_CPU", [], []),
    "other cpus, more": ("REM_CPU", ["-v", "2"], []),
    "uuid": ("UUID", [], []),
}
BY_UNITS = {"-D", "0.2"}
INTERIM = {
    "human": (["-D", "-0.2"], []),
    "by units": (["-D", "0.2"], []),
    "no header": (["-P", "0", "-D", "-0.2"], []),
    "keys": (["-D", "-0.2"], ["-k", "THROUGHPUT,THROUGHPUT_UNITS"]),
    "csv": (["-P", "0", "-D", "-0.2"], ["-o", "THROUGHPUT,THROUGHPUT_UNITS"]),
    "unit": (["-D", "-0.2", "-f", "M"], []),
}

# What differs on purpose: pattern and what stands for it in both texts, and why.
DIFFERENCES = (
    (rb"\n?Histogram of [^\n]*\n(?:[A-Z_]+ *:.*\n)+>100_SECS: \d+\nHIST_TOTAL: +\d+\n(\n)?", b"",
     "-v 2 prints the histogram always: PerfKitBenchmarker needs it; Debian's build has none"),
    (rb"catcher: timer popped with times_up != 0\n", b"",
     "a line of netperf's own debugging, which it prints at the end of some receiving tests"),
    (rb"(CPU util  : )(?:-?nan|\d+\.\d+)%", rb"\1?",
     "where no CPU time passed, netperf divides nought by nought; podperf does not"),
    (rb"Netperf version 2\.7\.\d", b"Netperf version 2.7.0", "Debian's netperf is 2.7.0"),
    (rb"podperf version [^\n]*\n", b"", "a second line says which program this is"),
    (rb" *\b\d\.\d{3}e\+\d\d ", b" 0 ", "netperf shows a count of bytes with an exponent"),
    (rb"(TCP SENDFILE TEST(?:.*\n)+? +\d+ +\d+ +\d+ +\d+) \d+ ", rb"\1 0 ",
     "the same count by podperf"),
    (rb"(?m)^((?:LOCAL|REMOTE)_CPU_(?:PERCENT_[A-Z]+|PEAK_(?:UTIL|ID)|COUNT)|(?:LOCAL|REMOTE)_SD)"
     rb"=.*$", rb"\1=?",
     "where CPU is not measured, netperf prints what was left in a message, or 0; podperf -1"),
)
# Values in `-k all` that are measured, or are not meant to be the same.
MEASURED = re.compile(
    r"ELAPSED_TIME|.*THROUGHPUT|.*_SIZE_END|.*_(CALLS|BYTES_SENT|BYTES_RECVD|BYTES_XFERD)"
    r"|.*_BYTES_PER_(SEND|RECV)|TRANSACTION_RATE|.*_LATENCY|.*_RETRANS|UUID|COMMAND_LINE"
    # netserver's rings, of which podperf has none.
    r"|REMOTE_(SEND|RECV)_WIDTH"
    r"|(LOCAL|REMOTE)_(CPU_(PERCENT_.*|PEAK_.*|COUNT)|SD)|DEST_PORT")

NUMBER = re.compile(rb"( *)(?<![\w^.:\[-])(-?)(\d+)(\.\d+)?(e[+-]\d\d)?(?![\w^.:-]) *")
UUID = re.compile(rb"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
INTERIM_GROUPS = (
    rb"(Interim result:[^\n]*\n)(?:\1)+",
    rb"((?:NETPERF_[A-Z_]+\[0\]=[^\n]*\n){4})(?:\1)+",
    rb"(0\.00,[^,\n]*,0\.000,0\.000\n)(?:\1)+",
)


def mask(text):
    """The text without measured numbers: the decimals of each are left, and blanks beside it are
    one, because its width moves them; at an end of the line they are none. What says -1 is left,
    because it says "not measured"."""
    def masked(found):
        blank = b" " if found[0].startswith(b" ") and found.start() else b""
        after = b" " if found[0].endswith(b" ") and found.string[found.end():] != b"\n" else b""
        if found[2] and found[3] == b"1" and not (found[4] or b"").strip(b".0"):
            return blank + b"-1" + (found[4] or b"") + after
        decimals = re.sub(rb"\d", b"0", found[4] or b"")
        return blank + found[2] + b"0" + decimals + (b"e+00" if found[5] else b"") + after

    text = re.sub(rb"(?<=\[)\d+(?=\]=)", b"0", UUID.sub(b"a-uuid", text))
    text = b"".join(NUMBER.sub(masked, line) for line in text.splitlines(keepends=True))
    for group in INTERIM_GROUPS:
        text = re.sub(group, rb"\1", text)
    return text


def same_on_purpose(text):
    """The text with what differs on purpose made equal."""
    for pattern, instead, _ in DIFFERENCES:
        text = re.sub(pattern, instead, text)
    return text


def columns(text):
    """A table of -O with blanks made one: a column is as wide as its value. Checks that lines of a
    block are of one width, and end in a blank."""
    blocks = [block.splitlines() for block in text.split(b"\n\n")]
    for block in blocks:
        rows = [row for row in block if b" from " not in row]  # the banner
        if len({len(row) for row in rows}) > 1 or any(not row.endswith(b" ") for row in rows):
            raise AssertionError(f"columns that are not of one width: {rows}")
    return re.sub(rb" +", b" ", text)


# Rows of the classic tables; the brand stands at the end.
STREAM_ROW = "%6d %6d %6d    %-6.2f   %7.2f   %s"
STREAM_CPU = "%6d %6d %6d    %-6.2f     %7.2f   %-6.2f   %-6.2f   %-6.3f  %-6.3f %s"
RR_ROW = "%-6d %-6d %-6d   %-6d  %-6.2f   %7.2f   %s"
RR_CPU = "%-6d %-6d %-6d  %-6d %-6.2f  %-6.2f  %-6.2f %-6.2f %-6.3f  %-6.3f %s"
UDP_RR_CPU = RR_CPU.replace("%-6.2f  %-6.2f  %-6.2f %-6.2f", "%-6.2f  %-6.2f   %-6.2f %-6.2f")
CRR_ROW, CRR_CPU = (layout.removesuffix("%s") for layout in (RR_ROW, UDP_RR_CPU[:-3]))
ROWS = {
    "TCP_STREAM": (STREAM_ROW, STREAM_CPU), "TCP_MAERTS": (STREAM_ROW, STREAM_CPU),
    "TCP_SENDFILE": (STREAM_ROW, STREAM_CPU), "TCP_RR": (RR_ROW, RR_CPU),
    "UDP_RR": (RR_ROW, UDP_RR_CPU), "TCP_CRR": (CRR_ROW, CRR_CPU), "TCP_CC": (CRR_ROW, CRR_CPU),
    "UDP_STREAM": ("%6d  %6d   %-7.2f   %7d %6d    %7.2f",
                   "%6d  %6d   %-7.2f   %7d %6d    %7.1f     %-6.2f   %-6.3f"),
}
SECOND_ROWS = {
    "UDP_STREAM": ("%6d           %-7.2f   %7d           %7.2f",
                   "%6d           %-7.2f   %7d           %7.1f     %-6.2f   %-6.3f"),
    "TCP_RR": ("%-6d %-6d",) * 2, "UDP_RR": ("%-6d %-6d",) * 2, "TCP_CRR": ("%-6d %-6d",) * 2,
    "TCP_CC": ("%-6d %-6d",) * 2,
}


def written_anew(layout, row, brand):
    """The row, from its values, by a layout."""
    words = row[:len(row) - len(brand)].split() if brand and row.endswith(brand) else row.split()
    kinds = re.findall(r"%[^dfs]*([dfs])", layout)
    wanted = [kind for kind in kinds if kind != "s"]
    if len(words) != len(wanted):
        raise AssertionError(f"{len(words)} values for {layout!r}: {row!r}")
    values = [int(word) if kind == "d" else float(word) for kind, word in zip(wanted, words)]
    return layout % tuple(values + [brand] * kinds.count("s"))


def check_rows(test, before, text):
    """Rows under the header of a classic table stand as their layouts say."""
    lines = text.splitlines()
    header = "-P" not in before or before[before.index("-P") + 1] == "1"
    for _ in range(header + ("!!! WARNING" in lines)):  # an empty line ends either
        lines = lines[lines.index("") + 1:]
    cpu = any(word in before for word in ("-c", "-C"))
    brand = before[before.index("-B") + 1] if "-B" in before and not header else ""
    layouts = [ROWS[test][cpu]]
    if test in SECOND_ROWS:
        layouts.append(SECOND_ROWS[test][cpu])
    for number, (layout, row) in enumerate(zip(layouts, lines)):
        anew = written_anew(layout, row, "" if number else brand)
        if anew != row:
            raise AssertionError(f"row {number + 1} is\n{row!r}, not\n{anew!r}")


@functools.cache
def model_server():
    netserver = hosts.Server("real").__enter__()
    atexit.register(netserver.__exit__)
    return netserver


def call(client, netserver, test, before, after, length=None, **more):
    """netperf as a user would call it."""
    if test.upper() in SHAPES:
        usual, shape = SHAPES[test.upper()]
        length, after = length or usual, shape + after
    words = ["-H", SERVER4, "-p", str(netserver.port), "-t", test, "-l", length or "1", *before]
    words += ["--", *after] if after else []
    run = hosts.netperf(client, *words, **more)
    # By units, netperf's own interim results are late where its rate drops, so that there may be
    # none: then it is asked again.
    tries = 5
    while client == "real" and BY_UNITS <= set(before) and tries and b"Interim" not in run.out:
        run, tries = hosts.netperf(client, *words, **more), tries - 1
    return run


@functools.cache
def model(test, before, after, length):
    """What the real programs say."""
    return call("real", model_server(), test, list(before), list(after), length)


class Golden:
    """What all comparisons share."""

    @classmethod
    def setUpClass(cls):
        cls.netserver = hosts.Server(cls.server).started(cls)

    def comparable(self, text):
        # That the real programs' own texts are equal shows that the masks hide what they should.
        return mask(same_on_purpose(text))

    def compare(self, run, wanted, view=bytes):
        self.assertEqual((run.status, self.comparable(run.err)),
                         (wanted.status, self.comparable(wanted.err)), f"{run}\nnot as\n{wanted}")
        ours, real = (self.comparable(view(text)) for text in (run.out, wanted.out))
        if ours != real:
            self.assertEqual(ours.decode().splitlines(), real.decode().splitlines(),
                             f"{run}\nnot as\n{wanted}")
            self.assertEqual(ours, real, f"{run}\nnot as\n{wanted}")

    def cases(self, table, test, length=None):
        """Each case's own run and the model's."""
        def both(before, after):
            # netserver's port is in no text, but the command line's.
            wanted = model(test, tuple(before), tuple(after), length)
            return call(self.client, self.netserver, test, before, after, length), wanted

        return zip(table.items(), hosts.together(
            [lambda before=before, after=after: both(before, after)
             for before, after in table.values()]))

    def classic(self, test):
        table = {name: words for name, words in CLASSIC.items()
                 if not any(test == but and word in name for but, word in EXCEPT)}
        for (name, (before, _)), (run, wanted) in self.cases(table, test):
            with self.subTest(name):
                view = numberless if "cpu of" in name else columns_but_histogram
                self.compare(run, wanted, bytes if test != "OMNI" else view)
                if name == "only a number" and test != "OMNI":
                    for text in (run.text, wanted.text):
                        self.assertEqual(text.rstrip(), "%7.2f" % float(text), run)
                if test != "OMNI" and not any(word.startswith("-v") for word in before):
                    check_rows(test, before, wanted.text)
                    check_rows(test, before, run.text)

    def omni(self, test):
        for (name, (before, after)), (run, wanted) in self.cases(OMNI, test):
            with self.subTest(name):
                human = "-O" in after
                view = numberless if name in ("csv, all", "human, all") else bytes
                self.compare(run, wanted, columns if human and view is bytes else view)
                if name == "keys, all":
                    self.constants(run, wanted)

    def constants(self, run, wanted):
        ours, real = (clients.key_values(same_on_purpose(one.out).decode())
                      for one in (run, wanted))
        self.assertEqual(list(ours), list(real))
        differ = {key: (ours[key], real[key]) for key in real
                  if ours[key] != real[key] and not MEASURED.fullmatch(key)}
        self.assertEqual(differ, {}, "podperf's and netperf's values")


def columns_but_histogram(text):
    return columns(same_on_purpose(text))


def numberless(text):
    """The text with no word of a number: where CPU is not measured, netperf's are leftovers."""
    number = rb"(?<![\w^/])-?(?:nan|\d+(?:\.\d+)?)(?![\w^])"
    return re.sub(rb" +", b" ", re.sub(number, b"0", UUID.sub(b"a-uuid", text)))


class Texts(Golden):
    """Everything that is printed by a run that succeeds."""

    def test_some(self):
        def both(test, before, after):
            return (call(self.client, self.netserver, test, before, after),
                    model(test, tuple(before), tuple(after), None))

        runs = hosts.together([lambda case=case: both(*case) for case in SOME.values()])
        for (name, (test, _, after)), (run, wanted) in zip(SOME.items(), runs):
            with self.subTest(name):
                human = test == "OMNI" and "-k" not in after
                self.compare(run, wanted, columns_but_histogram if human else bytes)


def of_test(test):
    def classic(self):
        self.classic(test)

    def omni(self):
        self.omni(test)

    def interim(self):
        for (name, _), (run, wanted) in self.cases(INTERIM, test, "1"):
            with self.subTest(name):
                self.compare(run, wanted)

    setattr(Texts, f"test_classic_{test.lower()}", classic)
    if test not in OLD:
        setattr(Texts, f"test_selected_{test.lower()}", omni)
        if test in ("TCP_STREAM", "TCP_MAERTS", "TCP_RR", "UDP_RR"):
            setattr(Texts, f"test_interim_{test.lower()}", interim)


for each in SHAPES:
    of_test(each)
# What the real netperf says of our netserver, test_acceptance.py looks at.
hosts.each_pair(hosts.REAL_TO_REAL, ("ours", "real"), ("ours", "ours"))(Texts)


def refuse(connection):
    """A netserver whose data port is closed."""
    hosts.receive(connection)
    connection.sendall(hosts.message(hosts.OMNI_ANSWER, 131072, 131072, 2, 16384, 16384, 2, 0, 0, 0,
                                     0, 0, 9, 0, 0, 0, 0, -1, -1, auxiliary=0))
    hosts.receive(connection, 1)


def fail(connection):
    """A netserver that cannot."""
    hosts.receive(connection)
    connection.sendall(hosts.message(hosts.OMNI_ANSWER, auxiliary=13))
    hosts.receive(connection, 1)


def leave(connection):
    """A netserver that goes when it is asked."""
    hosts.receive(connection)


def stop_short(connection):
    """A netserver that goes in mid-message."""
    hosts.receive(connection)
    connection.sendall(b"\0" * 100)


@hosts.each_pair(("real", "real"), ("ours", "real"))
class Errors(Golden):
    """What is said, where, and with which exit status, when there is nothing to measure."""

    def both(self, *words, port=None, **more):
        words = ["-p", str(port or self.netserver.port), *words]
        # A scripted server that plays netserver knows no question but netperf's.
        plain = ["--native", "off"] if self.client == "ours" else []
        return (hosts.netperf(self.client, *plain, *words, **more),
                hosts.netperf("real", *words, **more))

    def same(self, *words, **more):
        """Compared without any mask."""
        run, wanted = self.both(*words, **more)
        self.assertEqual((run.status, run.out, run.err), (wanted.status, wanted.out, wanted.err),
                         f"{run}\nnot as\n{wanted}")
        return wanted

    def test_no_server(self):
        for test in ("TCP_STREAM", "REM_CPU"):
            wanted = self.same("-H", SERVER4, "-t", test, port=hosts.free_port())
            self.assertEqual(wanted.status, 255, wanted)

    def test_no_server_by_ipv6(self):
        self.assertEqual(self.same("-H", SERVER6, port=hosts.free_port()).status, 255)

    def test_no_such_host(self):
        # Nobody answers the resolver here, and it shall not wait for long.
        run, wanted = self.both("-H", "no.such.host.invalid", seconds=60,
                                RES_OPTIONS="timeout:1 attempts:1")
        self.assertEqual((run.status, run.err), (wanted.status, wanted.err), run)
        self.assertEqual(run.out.splitlines()[0], wanted.out.splitlines()[0], run)

    def test_an_unknown_test(self):
        wanted = self.same("-H", SERVER4, "-t", "foo")
        self.assertEqual((wanted.status, wanted.out.count(b"\n")), (1, 3), wanted)

    def test_an_unknown_option_shows_the_usage(self):
        for words in (["-H", SERVER4, "-m", "1"], ["-h"]):
            run, wanted = self.both(*words)
            self.assertEqual((run.status, run.out), (wanted.status, wanted.out), run)
            self.assertEqual(wanted.status, 1)
            said = [line for line in wanted.err.splitlines() if b"invalid option" in line]
            self.assertEqual([line for line in run.err.splitlines() if b"invalid option" in line],
                             said, run)
            self.assertRegex(run.err, rb"(?i)usage: netperf ")

    def test_an_unknown_option_of_the_test_is_said_and_passed_over(self):
        run, wanted = self.both("-H", SERVER4, "-l", "-3", "-t", "TCP_RR", "--", "-Y", "-r", "5,7")
        self.assertEqual((run.status, run.err), (0, wanted.err), run)
        self.assertIn(b"netperf: invalid option -- 'Y'", wanted.err)
        self.compare(run, wanted)
        self.assertEqual(run.text.splitlines()[6].split()[2:4], ["5", "7"])

    def test_a_level_that_there_is_not(self):
        self.assertEqual(self.same("-H", SERVER4, "-I", "90,5").status, 255)

    def test_a_file_of_selectors_that_is_missing(self):
        for option in ("-o", "-k", "-O"):
            for file in ("/no/such/file", "P98_LATENCY"):
                self.assertEqual(self.same("-H", SERVER4, "--", option, file).status, 255)

    def test_the_list_of_selectors(self):
        for option in ("-o", "-k", "-O"):
            run, wanted = self.both("-H", SERVER4, "--", option, "?")
            self.assertEqual((run.status, run.err), (wanted.status, wanted.err), run)
            self.assertEqual(wanted.status, 1)
            names, real = (re.split(r"[,\n]", one.text.strip()) for one in (run, wanted))
            # podperf may know more, in between.
            self.assertEqual([name for name in names if name in real], real, run)
            self.assertEqual(run.text.count("\n") > 2, wanted.text.count("\n") > 2, run)

    def test_the_version(self):
        run, wanted = self.both("-V")
        self.assertEqual(run.status, 0)
        self.assertEqual(same_on_purpose(run.out), same_on_purpose(wanted.out))

    def by_scripted_server(self, serve):
        with hosts.ScriptedServer(serve) as server:
            return self.same("-H", SERVER4, "-l", "1", port=server.port)

    def test_a_data_port_that_refuses(self):
        with hosts.ScriptedServer(refuse) as server:
            run, wanted = self.both("-H", SERVER4, "-l", "1", port=server.port)
        self.assertEqual((run.status, run.out, wanted.status), (1, wanted.out, 1), run)
        self.assertIn(b"connect_data_socket failed: Connection refused", wanted.err)
        # podperf says in a second line what it may be.
        self.assertTrue(run.err.startswith(wanted.err), f"{run}\n{wanted}")

    def test_an_error_of_the_server(self):
        wanted = self.by_scripted_server(fail)
        self.assertEqual(wanted.status, 255, wanted)

    def test_a_server_that_goes(self):
        self.assertEqual(self.by_scripted_server(leave).status, 1)

    def test_a_server_that_goes_in_mid_message(self):
        with hosts.ScriptedServer(stop_short) as server:
            run, wanted = self.both("-H", SERVER4, "-l", "1", port=server.port)
        self.assertEqual((run.status, wanted.status), (1, 1), f"{run}\n{wanted}")
        self.assertTrue(run.err, run)


class Masks(unittest.TestCase):
    """The mask hides measured numbers and nothing else."""

    def test_numbers_lose_their_value_and_width(self):
        one = b"131072  16384  16384    1.00     19419.26   \n"
        other = b" 87380  16384   1024    10.02      941.50   \n"
        self.assertEqual(mask(one), mask(b"131072  16384   1024    10.02      941.50   \n"))
        self.assertNotEqual(mask(one), mask(other.replace(b"941.50", b"941.5")))
        self.assertNotEqual(mask(one), mask(one.replace(b"   \n", b" tag\n")))

    def test_words_and_units_are_kept(self):
        for text in (b"10^6bits/s", b"10^9bits/s", b"P99_LATENCY", b"AF_INET6", b"0xffffffff",
                     b"192.0.2.2", b"2001:db8::2 ()", b"-1", b"-1.000"):
            self.assertIn(text, mask(b"x " + text + b" y"))

    def test_interim_results_are_any_number(self):
        line = b"Interim result: %s 10^6bits/s over 0.200 seconds ending at 1795390637.740\n"
        self.assertEqual(mask(line % b"28019.13" + line % b"   19.10"), mask(line % b"1.00"))
        keys = (b"NETPERF_INTERIM_RESULT[%d]=36622.47\nNETPERF_UNITS[%d]=10^6bits/s\n"
                b"NETPERF_INTERVAL[%d]=0.500\nNETPERF_ENDING[%d]=1795390642.051\n")
        once = keys % (0, 0, 0, 0)
        self.assertEqual(mask(once + keys % (1, 1, 1, 1)), mask(once))

    def test_a_row_is_written_anew(self):
        row = "131072  16384  16384    1.00     19419.26   "
        check_rows("TCP_STREAM", ["-P", "0"], row + "\n")
        self.assertRaises(AssertionError, check_rows, "TCP_STREAM", ["-P", "0"], row.strip())


if __name__ == "__main__":
    unittest.main()
