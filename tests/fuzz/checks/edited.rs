//! Documents with changes: what a peer may send that speaks JSON and lies.

use arbitrary::{Result, Unstructured};
use serde_json::{Map, Number, Value};

/// Changes to one document.
const MAX_CHANGES: usize = 24;
/// Copies of a list's member.
const MAX_COPIES: usize = 40;

/// Makes JSON text of an input: the input itself where it opens a document, else one of `bases`
/// with changes.
pub(super) fn json(data: &[u8], bases: &[Value]) -> Option<String> {
    if data.first() == Some(&b'{') {
        return std::str::from_utf8(data).ok().map(str::to_owned);
    }
    value(&mut Unstructured::new(data), bases).ok().map(|value| value.to_string())
}

/// One of `bases` with changes.
pub(super) fn value(input: &mut Unstructured<'_>, bases: &[Value]) -> Result<Value> {
    let mut document = input.choose(bases)?.clone();
    for _ in 0..MAX_CHANGES {
        if input.is_empty() {
            break;
        }
        change(input, &mut document)?;
    }
    Ok(document)
}

/// Changes one place.
fn change(input: &mut Unstructured<'_>, document: &mut Value) -> Result<()> {
    let places = count(document);
    let place = input.int_in_range(0..=places - 1)?;
    let other = input.int_in_range(0..=places - 1)?;
    let copied = node(document, other).cloned();
    let Some(found) = node_mut(document, place) else { return Ok(()) };
    match input.int_in_range(0..=9_u8)? {
        0 => *found = Value::Null,
        1 => *found = Value::Bool(input.arbitrary()?),
        2 => *found = integer(input)?,
        3 => *found = float(input)?,
        4 => *found = Value::String(text(input)?),
        // A smaller document, or one of another kind.
        5 => *found = copied.filter(|copied| count(copied) < 64).unwrap_or(Value::Null),
        6 => remove(input, found)?,
        7 => repeat(input, found)?,
        8 => rename(input, found)?,
        _ => *found = if found.is_array() { Value::Array(Vec::new()) } else { text(input)?.into() },
    }
    Ok(())
}

/// A number at an edge, or any.
fn integer(input: &mut Unstructured<'_>) -> Result<Value> {
    const EDGES: [u64; 12] =
        [0, 1, 2, 63, 1024, 65_535, 65_536, 1 << 31, 1 << 32, 1 << 53, 1 << 63, u64::MAX];
    Ok(match input.int_in_range(0..=3_u8)? {
        0 => (*input.choose(&EDGES)?).into(),
        1 => i64::MIN.into(),
        2 => input.arbitrary::<u16>()?.into(),
        _ => input.arbitrary::<u64>()?.into(),
    })
}

fn float(input: &mut Unstructured<'_>) -> Result<Value> {
    const EDGES: [f64; 10] = [-0.0, 1e-300, 0.001, 0.5, 1e9, 1e18, 1.9e19, 1e300, f64::MAX, -1.0];
    let float = match input.int_in_range(0..=2_u8)? {
        0 | 1 => *input.choose(&EDGES)?,
        _ => input.arbitrary()?,
    };
    Ok(Number::from_f64(float).map_or(Value::Null, Value::Number))
}

/// Words that mean something somewhere, escape sequences, nothing, much, or anything.
fn text(input: &mut Unstructured<'_>) -> Result<String> {
    const WORDS: [&str; 14] = [
        "",
        "up",
        "both",
        "auto",
        "uring-zc",
        "incomplete",
        "a\u{1b}[2J\r\n",
        "| `a` | <b> |",
        "漢字\u{202e}",
        "host",
        "12",
        "-1",
        "NaN",
        "\u{0}",
    ];
    Ok(match input.int_in_range(0..=3_u8)? {
        0 | 1 => (*input.choose(&WORDS)?).to_owned(),
        2 => "long ".repeat(input.int_in_range(0..=255_usize)?),
        _ => input.arbitrary::<&str>()?.chars().take(64).collect(),
    })
}

fn remove(input: &mut Unstructured<'_>, found: &mut Value) -> Result<()> {
    match found {
        Value::Array(members) if !members.is_empty() => {
            members.remove(input.choose_index(members.len())?);
        }
        Value::Object(members) => {
            if let Some(key) = key(input, members)? {
                members.remove(&key);
            }
        }
        _ => {}
    }
    Ok(())
}

fn repeat(input: &mut Unstructured<'_>, found: &mut Value) -> Result<()> {
    match found {
        Value::Array(members) if !members.is_empty() && count_all(members) < 4_000 => {
            let member = members[input.choose_index(members.len())?].clone();
            let copies = input.int_in_range(1..=MAX_COPIES)?;
            members.extend(std::iter::repeat_n(member, copies));
        }
        other if count(other) < 200 => *other = Value::Array(vec![other.clone(); 2]),
        _ => {}
    }
    Ok(())
}

fn rename(input: &mut Unstructured<'_>, found: &mut Value) -> Result<()> {
    if let Value::Object(members) = found
        && let Some(key) = key(input, members)?
        && let Some(member) = members.remove(&key)
    {
        members.insert(text(input)?, member);
    }
    Ok(())
}

fn key(input: &mut Unstructured<'_>, members: &Map<String, Value>) -> Result<Option<String>> {
    if members.is_empty() {
        return Ok(None);
    }
    Ok(members.keys().nth(input.choose_index(members.len())?).cloned())
}

fn count_all(members: &[Value]) -> usize {
    members.iter().map(count).sum()
}

/// Values within a value, itself among them.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(members) => count_all(members),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// The value of a number, counted from the outermost.
fn node(value: &Value, mut number: usize) -> Option<&Value> {
    if number == 0 {
        return Some(value);
    }
    number -= 1;
    let within: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(members) => Box::new(members.iter()),
        Value::Object(members) => Box::new(members.values()),
        _ => return None,
    };
    for member in within {
        let size = count(member);
        if number < size {
            return node(member, number);
        }
        number -= size;
    }
    None
}

fn node_mut(value: &mut Value, mut number: usize) -> Option<&mut Value> {
    if number == 0 {
        return Some(value);
    }
    number -= 1;
    let within: Box<dyn Iterator<Item = &mut Value>> = match value {
        Value::Array(members) => Box::new(members.iter_mut()),
        Value::Object(members) => Box::new(members.values_mut()),
        _ => return None,
    };
    for member in within {
        let size = count(member);
        if number < size {
            return node_mut(member, number);
        }
        number -= size;
    }
    None
}
