//! One encrypted value of any of the eight types, and the four formats that a committee decrypts.

use crate::object::{self, Object};
use crate::{Outcome, Plain};
use tfhe::integer::U256;
use tfhe::prelude::*;
use tfhe::*;

macro_rules! values {
    ($($variant:ident($cipher:ty) = $name:literal),*) => {
        pub enum Value {
            Bool(FheBool),
            $($variant($cipher)),*
        }

        impl Value {
            /// Value `index` of a list.
            pub fn of_list(list: &impl CiphertextList, index: usize, kind: &str) -> Outcome<Self> {
                Ok(match kind {
                    "bool" => Value::Bool(element(list, index)?),
                    $($name => Value::$variant(element(list, index)?),)*
                    _ => return Err(format!("type '{kind}' is not known")),
                })
            }

            /// A SmallExpanded file; refused unless it fits the server key and the type.
            fn read_expanded(bytes: &[u8], kind: &str, server_key: &ServerKey) -> Outcome<(Self, Vec<u8>)> {
                match kind {
                    "bool" => {
                        let (value, again) = conformant::<FheBool>(bytes, &server_key.into())?;
                        Ok((Value::Bool(value), again))
                    }
                    $($name => {
                        let (value, again) = conformant::<$cipher>(bytes, &server_key.into())?;
                        Ok((Value::$variant(value), again))
                    })*
                    _ => Err(format!("type '{kind}' is not known")),
                }
            }

            fn decrypt(&self, client_key: &ClientKey) -> Plain {
                match self {
                    Value::Bool(value) => Plain::of_bool(value.decrypt(client_key)),
                    $(Value::$variant(value) => Plain(value.decrypt(client_key)),)*
                }
            }

            fn squash(&self) -> Outcome<Squashed> {
                Ok(match self {
                    Value::Bool(value) => Squashed::Bool(value.squash_noise().map_err(object::text)?),
                    $(Value::$variant(value) => Squashed::Uint(value.squash_noise().map_err(object::text)?),)*
                })
            }

            fn compress(&self) -> Outcome<CompressedCiphertextList> {
                let mut list = CompressedCiphertextListBuilder::new();
                match self {
                    Value::Bool(value) => list.push(value.clone()),
                    $(Value::$variant(value) => list.push(value.clone()),)*
                };
                list.build().map_err(object::text)
            }

            fn expanded_bytes(&self) -> Vec<u8> {
                match self {
                    Value::Bool(value) => object::to_bytes(value),
                    $(Value::$variant(value) => object::to_bytes(value),)*
                }
            }

            /// What the OPRF key makes of a seed: nobody knows the value, and it is the same each time.
            pub fn random(kind: &str, seed: &[u8]) -> Outcome<Self> {
                Ok(match kind {
                    "bool" => Value::Bool(FheBool::generate_oblivious_pseudo_random(seed)),
                    $($name => Value::$variant(<$cipher>::generate_oblivious_pseudo_random(seed)),)*
                    _ => return Err(format!("type '{kind}' is not known")),
                })
            }

            /// The same value in another ciphertext, by the re-randomization key of the server key.
            fn re_randomized(&self) -> Outcome<Self> {
                let out = match self {
                    Value::Bool(value) => Value::Bool(re_randomized(value)?),
                    $(Value::$variant(value) => Value::$variant(re_randomized(value)?),)*
                };
                match out.expanded_bytes() != self.expanded_bytes() {
                    true => Ok(out),
                    false => Err("the re-randomized ciphertext is the one that it was made from".into()),
                }
            }

            /// An operation of the plan.
            pub fn compute(operation: &str, operands: &[&Value]) -> Outcome<Self> {
                Ok(match (operation, operands) {
                    ("rerandomize", [value]) => value.re_randomized()?,
                    ("and", [Value::Bool(a), Value::Bool(b)]) => Value::Bool(a & b),
                    ("xor", [Value::Bool(a), Value::Bool(b)]) => Value::Bool(a ^ b),
                    ("select", [Value::Bool(which), Value::Bool(a), Value::Bool(b)]) => Value::Bool(which.if_then_else(a, b)),
                    $(
                        ("add", [Value::$variant(a), Value::$variant(b)]) => Value::$variant(a + b),
                        ("mul", [Value::$variant(a), Value::$variant(b)]) => Value::$variant(a * b),
                        ("eq", [Value::$variant(a), Value::$variant(b)]) => Value::Bool(a.eq(b)),
                        ("lt", [Value::$variant(a), Value::$variant(b)]) => Value::Bool(a.lt(b)),
                        ("select", [Value::Bool(which), Value::$variant(a), Value::$variant(b)]) => {
                            Value::$variant(which.if_then_else(a, b))
                        }
                    )*
                    _ => return Err(format!("operation '{operation}' does not fit its {} operands", operands.len())),
                })
            }
        }
    };
}

values!(
    U8(FheUint8) = "u8",
    U16(FheUint16) = "u16",
    U32(FheUint32) = "u32",
    U64(FheUint64) = "u64",
    U128(FheUint128) = "u128",
    U160(FheUint160) = "u160",
    U256(FheUint256) = "u256"
);

impl Value {
    /// The bytes of one format; `squashed` keeps what both Big formats need.
    pub fn to_format(&self, format: &str, squashed: &mut Option<Squashed>) -> Outcome<Vec<u8>> {
        if format.starts_with("big") && squashed.is_none() {
            *squashed = Some(self.squash()?);
        }
        match (format, squashed) {
            ("small-expanded", _) => Ok(self.expanded_bytes()),
            ("small-compressed", _) => Ok(object::to_bytes(&self.compress()?)),
            ("big-expanded", Some(squashed)) => Ok(squashed.expanded_bytes()),
            ("big-compressed", Some(squashed)) => Ok(object::to_bytes(&squashed.compress()?)),
            _ => Err(format!("format '{format}' is not known")),
        }
    }
}

pub enum Squashed {
    Bool(SquashedNoiseFheBool),
    Uint(SquashedNoiseFheUint),
}

impl Squashed {
    fn of_list(list: &CompressedSquashedNoiseCiphertextList, kind: &str) -> Outcome<Self> {
        let missing = || format!("the list has no value of type {kind}");
        Ok(if kind == "bool" {
            Squashed::Bool(list.get(0).map_err(object::text)?.ok_or_else(missing)?)
        } else {
            Squashed::Uint(list.get(0).map_err(object::text)?.ok_or_else(missing)?)
        })
    }

    fn read_expanded(bytes: &[u8], kind: &str) -> Outcome<(Self, Vec<u8>)> {
        if kind == "bool" {
            let (value, again) = object::read(bytes)?;
            Ok((Squashed::Bool(value), again))
        } else {
            let (value, again) = object::read(bytes)?;
            Ok((Squashed::Uint(value), again))
        }
    }

    fn decrypt(&self, client_key: &ClientKey) -> Plain {
        match self {
            Squashed::Bool(value) => Plain::of_bool(value.decrypt(client_key)),
            Squashed::Uint(value) => Plain(value.decrypt(client_key)),
        }
    }

    fn compress(&self) -> Outcome<CompressedSquashedNoiseCiphertextList> {
        let mut list = CompressedSquashedNoiseCiphertextListBuilder::new();
        match self {
            Squashed::Bool(value) => list.push(value.clone()),
            Squashed::Uint(value) => list.push(value.clone()),
        };
        list.build().map_err(object::text)
    }

    fn expanded_bytes(&self) -> Vec<u8> {
        match self {
            Squashed::Bool(value) => object::to_bytes(value),
            Squashed::Uint(value) => object::to_bytes(value),
        }
    }
}

/// What a ciphertext file holds, and what tfhe-rs writes for it.
pub struct Opened {
    pub value: Plain,
    pub again: Vec<u8>,
}

pub fn open(bytes: &[u8], format: &str, kind: &str, client_key: &ClientKey, server_key: &ServerKey) -> Outcome<Opened> {
    let single = |count: usize| match count {
        1 => Ok(()),
        _ => Err(format!("the list holds {count} values, expected one")),
    };
    // A value under the compute key must also survive a bootstrap of tfhe-rs: noise and degree are what they claim to be.
    let twice = |value: Value| {
        let (direct, squashed) = (value.decrypt(client_key), value.squash()?.decrypt(client_key));
        match direct == squashed {
            true => Ok(direct),
            false => Err(format!("decrypts to {direct}, after squashing to {squashed}")),
        }
    };
    let (value, again) = match format {
        "small-expanded" => {
            let (value, again) = Value::read_expanded(bytes, kind, server_key)?;
            (twice(value)?, again)
        }
        "small-compressed" => {
            let (list, again) = object::read::<CompressedCiphertextList>(bytes)?;
            single(list.len())?;
            (twice(Value::of_list(&list, 0, kind)?)?, again)
        }
        "big-expanded" => {
            let (value, again) = Squashed::read_expanded(bytes, kind)?;
            (value.decrypt(client_key), again)
        }
        "big-compressed" => {
            let (list, again) = object::read::<CompressedSquashedNoiseCiphertextList>(bytes)?;
            single(list.len())?;
            (Squashed::of_list(&list, kind)?.decrypt(client_key), again)
        }
        _ => return Err(format!("format '{format}' is not known")),
    };
    Ok(Opened { value, again })
}

fn re_randomized<T: ReRandomize + Clone>(value: &T) -> Outcome<T> {
    let mut context = ReRandomizationContext::new(*b"TFHE_Rrd", [b"interop of witan".as_slice()], *b"TFHE_Enc");
    context.add_ciphertext(value);
    let seed = context.finalize().next_seed().map_err(object::text)?;
    let mut out = value.clone();
    out.re_randomize(ReRandomizationMode::UseAvailableMode, seed).map_err(object::text)?;
    Ok(out)
}

/// Adds one value to a list that a client makes.
pub fn push(list: &mut CompactCiphertextListBuilder, kind: &str, value: Plain) -> Outcome<()> {
    let bits = match kind {
        "bool" => {
            list.push(value.0 != U256::ZERO);
            return Ok(());
        }
        _ => kind[1..].parse::<usize>().map_err(|_| format!("type '{kind}' is not known"))?,
    };
    list.push_with_num_bits(value.0, bits).map_err(object::text)?;
    Ok(())
}

fn element<T: HlExpandable + Tagged>(list: &impl CiphertextList, index: usize) -> Outcome<T> {
    list.get(index).map_err(object::text)?.ok_or_else(|| format!("the list has no value {index}"))
}

fn conformant<T: Object + ParameterSetConformant>(bytes: &[u8], expected: &T::ParameterSet) -> Outcome<(T, Vec<u8>)> {
    let (value, again) = object::read::<T>(bytes)?;
    match value.is_conformant(expected) {
        true => Ok((value, again)),
        false => Err("does not conform to the server key and its type".into()),
    }
}
