"""The cases of docs/RELIABILITY.md: what each is called, how scripts/faults plays it, and which tests
hold podperf and its netserver to it.

Enters: nothing. Leaves: ROWS. A test is `FILE::NAME`; scripts/lib/test_faults.py sees that each is
there, and that the document has these rows.
"""

from dataclasses import dataclass

import fault_exhaustion
import fault_messages
import fault_output
import fault_reaching
import fault_requests
import fault_running
import fault_surroundings

HEADINGS = {"podperf": "podperf", "netserver": "podperf as netserver", "iperf3": "iperf3",
            "netperf": "the real netserver"}
QUICK = 12  # seconds that a case takes at most to be in the short run of scripts/test

PLAYED_BY = (fault_reaching, fault_running, fault_surroundings, fault_messages, fault_requests,
             fault_exhaustion, fault_output)

# What is still a fault of podperf's, by row and tool.
OPEN = set()


@dataclass(frozen=True)
class Row:
    """One case."""

    number: int
    title: str
    seconds: int  # about so long it takes podperf or the slowest peer
    tests: tuple

    @property
    def play(self):
        name = f"row_{self.number}"
        for module in PLAYED_BY:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(name)

    @property
    def how(self):
        """How the script plays it, and what is asked of a tool."""
        return " ".join(self.play.__doc__.split())


def row(number, title, seconds, *tests):
    return Row(number, title, seconds, tests)


ENGINE, UNTRUSTED, NETPERF = "tests/engine", "tests/untrusted", "tests/netperf"
FAULTS = f"{ENGINE}/faults.rs::"
ROWS = (
    row(1, "the server's port is taken", 4,
        FAULTS + "a_port_that_is_taken_is_named_at_once",
        f"{NETPERF}/test_programs.py::test_a_busy_port_is_said"),
    row(2, "two servers on one port", 5,
        f"{ENGINE}/reaching.rs::two_servers_do_not_share_a_port"),
    row(3, "the connection is refused", 3,
        FAULTS + "a_refused_connection_names_the_peer_and_what_to_do",
        f"{NETPERF}/test_golden.py::test_no_server"),
    row(4, "the SYN is swallowed", 20,
        "tests/twohosts/agreement.rs::a_path_that_swallows_everything_meets_the_deadlines",
        FAULTS + "a_peer_that_never_answers_meets_the_connect_timeout"),
    row(5, "a name does not resolve, or resolves to an address that refuses", 6,
        f"{ENGINE}/reaching.rs::a_name_that_does_not_resolve_is_named",
        f"{ENGINE}/reaching.rs::every_address_of_a_name_is_tried"),
    row(6, "an IPv6 address with a zone; IPv4 and IPv6 at one port", 4,
        f"{UNTRUSTED}/link_local.rs::every_test_runs_to_an_address_on_a_link",
        f"{ENGINE}/loopback.rs::every_address_form_reaches_a_server"),
    row(7, "the peer speaks another protocol", 12,
        FAULTS + "a_peer_that_is_not_podperf_is_recognised",
        f"{UNTRUSTED}/control.rs::silent_slow_and_noisy_peers_do_not_disturb_a_run_and_are_dropped",
        f"{NETPERF}/test_robust.py::test_garbage"),
    row(8, "a peer of another version", 15,
        FAULTS + "a_peer_of_another_version_is_told_apart",
        f"{UNTRUSTED}/netserver.rs::clients_that_cut_talk_nonsense_or_flood_are_dropped_and_disturb_nobody"),
    row(9, "only the server's port is reachable", 12,
        f"{ENGINE}/reaching.rs::nothing_but_the_servers_port_is_needed"),
    row(10, "the server is killed in mid-run", 6,
        FAULTS + "a_killed_server_ends_the_run_with_what_was_measured",
        f"{ENGINE}/combinations.rs::a_killed_server_ends_runs_of_every_kind",
        f"{NETPERF}/test_acceptance.py::test_11_a_peer_that_goes_away_is_told"),
    row(11, "the client is killed in mid-run", 6,
        FAULTS + "a_killed_client_leaves_nothing_behind_at_the_server",
        f"{UNTRUSTED}/netserver.rs::a_client_that_goes_takes_its_test_with_it_at_once"),
    row(12, "the peer is stopped, or its cable is out", 50,
        FAULTS + "a_stopped_server_is_noticed_and_serves_again_once_it_goes_on",
        FAULTS + "a_stopped_client_is_given_up_by_the_server",
        f"{ENGINE}/combinations.rs::a_server_that_falls_silent_is_given_up_by_runs_of_every_kind",
        f"{UNTRUSTED}/netserver.rs::a_netperf_that_is_stopped_is_given_up",
        f"{UNTRUSTED}/netserver.rs::"
        "a_test_in_which_nothing_moves_any_more_gives_its_place_back_however_long_it_was_to_be"),
    row(13, "one stream of four is reset", 8,
        FAULTS + "one_reset_stream_of_four_is_named_and_ends_the_run"),
    row(14, "one stream of three stalls and stays open", 13,
        FAULTS + "a_stream_that_stalls_but_stays_open_is_reported_and_ends_with_the_run"),
    row(15, "only some of the streams can connect", 8,
        f"{ENGINE}/reaching.rs::streams_that_cannot_all_connect_measure_nothing",
        f"{ENGINE}/limits.rs::too_few_open_files_at_the_client_are_named"),
    row(16, "streams are announced and never opened", 75,
        f"{UNTRUSTED}/control.rs::streams_announced_and_never_opened_free_their_place_with_their_client",
        f"{UNTRUSTED}/places.rs::streams_that_never_come_give_their_place_back",
        f"{UNTRUSTED}/netserver.rs::"
        "a_test_whose_data_does_not_come_gives_its_place_back_however_long_it_was_to_be"),
    row(17, "SIGINT or SIGTERM in mid-run", 8,
        FAULTS + "a_signal_ends_a_run_with_what_there_is",
        f"{NETPERF}/test_acceptance.py::test_10_a_signal_ends_it_with_a_full_result",
        f"{ENGINE}/surroundings.rs::a_signal_that_terminates_netperf_brings_what_it_has"),
    row(18, "a second SIGINT", 6, FAULTS + "a_second_signal_ends_at_once"),
    row(19, "the wall clock is stepped", 8,
        f"{ENGINE}/surroundings.rs::a_wall_clock_that_is_stepped_changes_no_result"),
    row(20, "CPUs are taken away in mid-run", 13,
        f"{ENGINE}/allowed_cpus.rs::a_cpuset_that_shrinks_in_mid_run_is_told_of_either_end",
        f"{ENGINE}/allowed_cpus.rs::cpus_taken_away_by_taskset_are_told_of_the_end_that_lost_them",
        f"{ENGINE}/allowed_cpus.rs::netperf_and_netserver_tell_of_cpus_that_were_taken_away",
        f"{ENGINE}/allowed_cpus.rs::"
        "a_netserver_whose_cpuset_shrinks_says_so_in_its_log_where_the_wire_cannot"),
    row(21, "a CPU to pin to is not allowed", 5,
        "tests/cli/usage.rs::usage_errors_name_option_value_and_what_is_allowed_before_any_traffic",
        f"{ENGINE}/limits.rs::what_only_the_server_can_refuse_is_told_to_the_client"),
    row(22, "zero-copy sends find no locked memory (ENOBUFS)", 5,
        f"{ENGINE}/methods.rs::locked_memory_that_runs_out_is_told_and_the_bytes_go_by_copying",
        f"{ENGINE}/methods.rs::locked_memory_that_is_too_small_is_named_before_anything_moves"),
    row(23, "io_uring is refused", 5,
        f"{ENGINE}/uring.rs::a_refused_ring_is_an_error_where_it_was_named",
        f"{ENGINE}/uring.rs::a_refused_ring_is_stood_in_for_where_it_was_not_named"),
    row(24, "a congestion control that is not there", 4,
        f"{ENGINE}/surroundings.rs::a_congestion_control_that_is_not_there_is_named"),
    row(25, "the kernel cuts a socket buffer down", 4,
        f"{ENGINE}/surroundings.rs::a_buffer_that_the_kernel_cuts_down_is_shown_as_granted",
        f"{ENGINE}/loopback.rs::what_is_asked_of_sockets_is_granted_on_both_ends"),
    row(26, "a run of no length", 4,
        "tests/cli/usage.rs::usage_errors_name_option_value_and_what_is_allowed_before_any_traffic",
        f"{NETPERF}/test_acceptance.py::test_10_length_nought_lasts_until_a_signal"),
    row(27, "counts beyond 32 bits", 13,
        f"{ENGINE}/surroundings.rs::more_than_four_gib_are_counted_to_the_byte"),
    row(28, "a silent control connection", 30,
        f"{UNTRUSTED}/silence.rs::silent_connections_shut_no_client_out_of_a_server",
        f"{UNTRUSTED}/silence.rs::silent_connections_shut_nobody_out_of_netserver_and_are_given_up"),
    row(29, "one byte a second", 40,
        f"{UNTRUSTED}/control.rs::slow_messages_after_the_preamble_meet_the_deadline_of_the_handshake",
        f"{UNTRUSTED}/slow_netperf.rs::messages_that_come_byte_by_byte_meet_a_deadline"),
    row(30, "bytes that keep coming while the server closes", 38,
        f"{UNTRUSTED}/control.rs::silent_slow_and_noisy_peers_do_not_disturb_a_run_and_are_dropped",
        f"{UNTRUSTED}/slow_netperf.rs::messages_that_come_byte_by_byte_meet_a_deadline"),
    row(31, "garbage", 12,
        f"{UNTRUSTED}/control.rs::silent_slow_and_noisy_peers_do_not_disturb_a_run_and_are_dropped",
        f"{UNTRUSTED}/log.rs::one_address_does_not_fill_the_log_and_what_is_left_out_is_counted",
        f"{NETPERF}/test_robust.py::test_garbage"),
    row(32, "a message's length is 0, 4 GiB, or above the limit", 12,
        f"{UNTRUSTED}/control.rs::broken_messages_are_refused_before_anything_is_done",
        f"{UNTRUSTED}/unproved.rs::greetings_and_plans_that_do_not_end_cost_a_server_no_memory"),
    row(33, "a message is cut short", 8,
        f"{UNTRUSTED}/control.rs::broken_messages_are_refused_before_anything_is_done",
        f"{NETPERF}/test_robust.py::test_a_message_cut_short"),
    row(34, "wrong types, missing, unknown or nested members", 12,
        f"{UNTRUSTED}/control.rs::broken_messages_are_refused_before_anything_is_done",
        f"{UNTRUSTED}/unproved.rs::greetings_with_long_lists_cost_a_server_no_memory",
        f"{UNTRUSTED}/netserver.rs::what_is_out_of_bounds_is_refused_by_its_errno_and_the_connection_goes_on"),
    row(35, "messages out of order, repeated, of another session", 12,
        f"{UNTRUSTED}/control.rs::messages_out_of_order_are_refused_by_name"),
    row(36, "a stranger connects to a data port in set-up", 8,
        f"{UNTRUSTED}/control.rs::streams_of_no_session_or_one_too_many_are_dropped",
        f"{ENGINE}/crr.rs::a_fixed_port_takes_the_run_and_nobody_else",
        f"{NETPERF}/test_robust.py::test_data_from_an_untrusted_peer"),
    row(37, "huge numbers from a client", 12,
        f"{ENGINE}/limits.rs::a_client_that_ignores_the_rules_is_refused_by_the_server_all_the_same",
        f"{UNTRUSTED}/budget.rs::what_the_budget_accepts_a_cgroup_of_that_size_carries",
        f"{UNTRUSTED}/netserver.rs::what_a_client_says_beside_sizes_is_bounded_too"),
    row(38, "wrong numbers on the command line", 8,
        "tests/cli/usage.rs::usage_errors_name_option_value_and_what_is_allowed_before_any_traffic"),
    row(39, "a client names a file of the server's", 3,
        f"{UNTRUSTED}/netserver.rs::what_is_out_of_bounds_is_refused_by_its_errno_and_the_connection_goes_on",
        f"{NETPERF}/test_robust.py::test_a_fill_file_that_a_client_names_is_not_opened"),
    row(40, "a client picks the server's CPU, priority or device", 4,
        f"{UNTRUSTED}/placement.rs::"
        "clients_of_other_hosts_choose_cpus_and_spinning_only_where_it_is_allowed",
        f"{UNTRUSTED}/placement.rs::"
        "netserver_goes_on_without_the_cpu_that_a_client_of_another_host_names"),
    row(41, "a hundred clients at once", 12,
        f"{UNTRUSTED}/control.rs::many_clients_at_once_are_all_served",
        f"{UNTRUSTED}/control.rs::clients_beyond_the_cap_are_told_that_the_server_is_busy",
        f"{NETPERF}/test_robust.py::test_a_hundred_tests_at_once"),
    row(42, "descriptors run out", 20,
        f"{UNTRUSTED}/silence.rs::where_descriptors_are_few_the_oldest_silent_connections_go",
        f"{ENGINE}/limits.rs::too_few_open_files_at_the_server_are_named_and_it_serves_on"),
    row(43, "threads or processes run out", 10,
        f"{ENGINE}/surroundings.rs::a_server_that_may_start_no_thread_says_so_and_serves_on"),
    row(44, "memory runs out in one session", 12,
        f"{UNTRUSTED}/budget.rs::plans_beyond_the_limit_on_address_space_are_refused_and_the_server_serves_on",
        f"{UNTRUSTED}/budget.rs::netserver_refuses_tests_beyond_its_budget_by_errno_and_serves_on"),
    row(45, "UDP to an address that was not proved", 8,
        f"{UNTRUSTED}/udp.rs::untrusted_peers_get_no_answer_and_only_who_receives_gets_a_flow",
        f"{UNTRUSTED}/reflection.rs::"
        "responses_go_to_the_client_alone_and_are_short_until_it_has_asked_three_times"),
    row(46, "rate and time of an open server are abused", 5,
        f"{ENGINE}/limits.rs::caps_of_a_server_are_named_before_anything_moves",
        f"{UNTRUSTED}/policy/limits.rs::what_a_plan_asks_beyond_a_rule_is_refused_before_it_starts",
        f"{UNTRUSTED}/policy/netserver.rs::"
        "every_limit_is_told_in_words_to_podperf_and_by_errno_to_others"),
    row(47, "the secret is guessed", 12,
        f"{UNTRUSTED}/guesses.rs::guesses_of_one_address_are_looked_at_ever_more_slowly",
        FAULTS + "a_token_is_demanded_proved_and_never_sent",
        f"{UNTRUSTED}/slow_netperf.rs::guesses_of_a_passphrase_are_looked_at_ever_more_slowly"),
    row(48, "standard output is closed", 8,
        FAULTS + "standard_output_closed_early_ends_quietly",
        "tests/cli/usage.rs::a_closed_standard_output_ends_quietly_and_not_well"),
    row(49, "the disk is full", 5,
        "tests/cli/usage.rs::a_full_standard_output_is_an_error_that_names_it",
        f"{ENGINE}/surroundings.rs::a_full_disk_is_named_and_the_result_is_shown_all_the_same"),
    row(50, "JSON of a run that fails", 8,
        "tests/cli/schema.rs::documents_obey_the_schema",
        f"{ENGINE}/surroundings.rs::a_document_of_netperf_tells_what_went_wrong",
        f"{UNTRUSTED}/netperf.rs::records_of_any_bytes_make_no_panic_and_no_numbers_that_are_none"),
    row(51, "/proc is hidden", 5,
        f"{ENGINE}/surroundings.rs::where_proc_is_hidden_cpu_is_null_with_a_reason"),
    row(52, "a log file in the shared temporary folder", 4),
    row(53, "a server that is left running", 18,
        "scripts/lib/test_soak.py::test_two_minutes_leave_nothing_behind"),
)
BY_NUMBER = {row.number: row for row in ROWS}
