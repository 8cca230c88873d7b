//! The JSON Schemas of result documents, generated from the types that write them.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::result::run::{self, Run};
use crate::result::saturation::{self, Saturation};

/// The schema of [`Run`] as it is written, draft 2020-12: every key is there, null where the
/// figure is not known.
#[must_use]
pub fn json_schema() -> Value {
    of::<Run>(run::SCHEMA)
}

/// The schema of [`Saturation`], likewise.
#[must_use]
pub fn saturation_schema() -> Value {
    of::<Saturation>(saturation::SCHEMA)
}

fn of<T: JsonSchema>(name: &str) -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("$id".to_owned(), name.into());
    schema.to_value()
}
