//! The JSON Schema of the result document, generated from the types that write it.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::result::run::{Run, SCHEMA};

/// The schema of [`Run`] as it is written, draft 2020-12: every key is there, null where the
/// figure is not known.
#[must_use]
pub fn json_schema() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Run>();
    schema.insert("$id".to_owned(), SCHEMA.into());
    schema.to_value()
}
