//! The records of netperf's wire, each by its type: what is read is bounded, and is the same when
//! it was written and read again.

use arbitrary::{Result, Unstructured};
use podperf_netperf::figures::CpuPercent;
use podperf_netperf::server::testing::{RequestedTest, requested};
use podperf_netperf::test_kind::MAX_STREAMS;
use podperf_netperf::wire::ask::OmniRequest;
use podperf_netperf::wire::dialect::Dialect;
use podperf_netperf::wire::native::{
    ClientMessage, Details, Extensions, Identity, read_token, token_answer,
};
use podperf_netperf::wire::reply::{OmniResponse, OmniResults};
use podperf_netperf::wire::{MESSAGE_BYTES, WireMessage, kind};

/// Kinds that one end or the other looks into.
const KINDS: [u32; 12] = [
    kind::OMNI,
    kind::TCP_STREAM,
    kind::TCP_CC,
    kind::OMNI_RESPONSE,
    kind::OMNI_RESULTS,
    kind::NATIVE,
    kind::SYSINFO,
    kind::SYSINFO_RESPONSE,
    kind::CPU_CALIBRATE,
    kind::PASSPHRASE,
    kind::DEBUG_ON,
    0,
];
/// Largest size of a call, a request or a response.
const MAX_CALL_BYTES: u32 = 64 << 20;
/// Most bytes of details.
const MAX_DETAILS_BYTES: usize = 4 << 20;

/// Checks one message, and what follows it.
pub fn check(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(message) = message(&mut input) else { return };
    check_request(&message, &mut input);
    check_answers(&message);
    if let Some(said) = ClientMessage::read(&message) {
        assert_eq!(ClientMessage::read(&said.write()), Some(said));
    }
    if let Some(identity) = Identity::read(&message) {
        assert!(identity.name.starts_with("podperf "));
        let _ = identity.write();
    }
    if let Some(token) = read_token(&message) {
        assert_eq!(read_token(&token_answer(token)), Some(token));
    }
    let followed = [&message.0, input.take_rest()].concat();
    if let Ok(details) = Details::read(&mut followed.as_slice()) {
        let written = details.write().expect("details that came can go on");
        assert!(written.len() <= MESSAGE_BYTES + MAX_DETAILS_BYTES);
        assert_eq!(Details::read(&mut written.as_slice()).ok(), Some(details));
    }
}

/// A message of a kind that means something, with words at the edges; of details, with their
/// length.
pub(super) fn message(input: &mut Unstructured<'_>) -> Result<WireMessage> {
    let mut message = WireMessage::default();
    if input.arbitrary()? {
        let bytes = input.bytes(input.len().min(MESSAGE_BYTES))?;
        message.0[..bytes.len()].copy_from_slice(bytes);
    }
    message.put(0, *input.choose(&KINDS)?);
    for _ in 0..input.int_in_range(0..=24_u8)? {
        // Words stand at multiples of four; those of requests are in the first 160 bytes.
        let at = 4 * input.int_in_range(1..=40_usize)?;
        message.put(at, word(input)?);
    }
    if message.kind() == kind::NATIVE && message.errno() == 0 && input.arbitrary()? {
        message.put(8, u32::try_from(input.len()).unwrap_or(0));
    }
    Ok(message)
}

fn word(input: &mut Unstructured<'_>) -> Result<u32> {
    const EDGES: [u32; 20] = [
        0,
        1,
        2,
        4,
        6,
        8,
        17,
        100,
        998,
        65_507,
        65_508,
        604_800,
        604_801,
        64 << 20,
        (64 << 20) + 1,
        i32::MAX as u32,
        1 << 31,
        u32::MAX,
        0x7fc0_0000,
        0x4120_0000,
    ];
    if input.ratio(3, 4)? { Ok(*input.choose(&EDGES)?) } else { input.arbitrary() }
}

fn check_request(message: &WireMessage, input: &mut Unstructured<'_>) {
    let mut request = OmniRequest::read(message);
    for text in [&mut request.congestion_control, &mut request.fill_file] {
        // Others are cut, and so may end in half a letter.
        text.retain(|char| char.is_ascii());
    }
    let written = request.write();
    assert_eq!(OmniRequest::read(&written).write(), written, "a request written twice");
    let extensions = Extensions {
        streams: input.int_in_range(1..=MAX_STREAMS).unwrap_or(1),
        times_calls: input.arbitrary().unwrap_or(false),
    };
    for dialect in [Dialect::Omni, Dialect::Stream, Dialect::Connect] {
        match requested(dialect, message, extensions) {
            Ok(RequestedTest { sizes, memory }) => {
                assert!(sizes.iter().all(|bytes| *bytes <= MAX_CALL_BYTES), "{sizes:?}");
                // A stack for each stream, at the least.
                let least = u64::from(extensions.streams.min(4)) << 18;
                assert!(memory >= least, "{memory} bytes for {extensions:?}");
            }
            Err(errno) => assert!(errno > 0, "errno {errno}"),
        }
        // Whatever is refused is answered by a message that says so.
        assert_eq!(dialect.refusal(5).errno(), 5);
        assert_eq!(dialect.failure(7).errno(), 7);
    }
}

fn check_answers(message: &WireMessage) {
    let response = OmniResponse::read(message);
    assert_eq!(OmniResponse::read(&response.write()).write(), response.write());
    let results = OmniResults::read(message);
    assert!(results.elapsed_seconds.is_finite() && results.elapsed_seconds >= 0.0);
    if let Some(cpu) = results.cpu {
        let CpuPercent { util_percent, user_percent, system_percent, .. } = cpu;
        for percent in [util_percent, user_percent, system_percent] {
            assert!((0.0..=100.0).contains(&percent), "{percent} %");
        }
        assert!(cpu.cpus <= 65_536, "{} CPUs", cpu.cpus);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    assert!(results.congestion_control.bytes().all(plain), "{}", results.congestion_control);
    let again = OmniResults::read(&results.write());
    assert_eq!(again.write(), results.write(), "results written twice");
    for dialect in [Dialect::Omni, Dialect::Stream, Dialect::Connect] {
        assert_eq!(dialect.write_results(&results).errno(), results.errno);
        assert_eq!(dialect.write_response(&response).errno(), response.errno);
    }
}
