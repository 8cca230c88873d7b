//! Values out of a short list, named alike on the command line and in the result.

/// A value out of a short list.
pub trait Choice: Copy + Eq + Send + Sync + 'static {
    /// Every value, in the order of the help.
    const ALL: &'static [Self];

    /// The name, as typed and as in the result.
    fn name(self) -> &'static str;

    /// What it means, in one sentence of help.
    fn help(self) -> &'static str;

    /// The value of this name.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|choice| choice.name() == name)
    }
}

/// Defines an enum that is a [`Choice`]: each variant with its name, which stands in JSON as well,
/// and its description, which is its sentence of help.
macro_rules! choice {
    ($(#[$attribute:meta])* pub enum $type:ident {
        $($(#[doc = $help:tt])+ $variant:ident = $name:literal $([$default:ident])?,)+
    }) => {
        $(#[$attribute])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq,
            serde::Serialize, serde::Deserialize,
        )]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $type {
            $($(#[doc = $help])+ $(#[$default])? #[serde(rename = $name)] $variant,)+
        }

        impl $type {
            /// The name, as typed and as in the result.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl $crate::plan::Choice for $type {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn name(self) -> &'static str {
                Self::name(self)
            }

            fn help(self) -> &'static str {
                let sentence = match self { $(Self::$variant => concat!($($help),+)),+ };
                sentence.trim().trim_end_matches('.')
            }
        }
    };
}
pub(super) use choice;

#[cfg(test)]
mod tests {
    use super::Choice;
    use crate::plan::udp::Offload;
    use crate::plan::{Backend, Close, Direction, ReceiveMethod, SendMethod};

    fn named_as_in_json<T: Choice + serde::Serialize + std::fmt::Debug>() {
        for &choice in T::ALL {
            let json = serde_json::to_value(choice).unwrap();
            assert_eq!(json, choice.name(), "{choice:?}");
            assert_eq!(T::named(choice.name()), Some(choice));
        }
        assert_eq!(T::named("nosuch"), None);
    }

    #[test]
    fn choices_are_named_alike_on_the_command_line_and_in_json() {
        named_as_in_json::<SendMethod>();
        named_as_in_json::<ReceiveMethod>();
        named_as_in_json::<Direction>();
        named_as_in_json::<Close>();
        named_as_in_json::<Backend>();
        named_as_in_json::<Offload>();
    }
}
