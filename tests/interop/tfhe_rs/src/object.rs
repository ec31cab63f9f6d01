//! Serialized objects.

use crate::Outcome;
use serde::de::DeserializeOwned;
use serde::Serialize;
use std::path::Path;
use tfhe::named::Named;
use tfhe::safe_serialization::{safe_deserialize, safe_serialize};
use tfhe::{Unversionize, Versionize};

const SIZE_LIMIT: u64 = 1 << 31;

pub trait Object: DeserializeOwned + Serialize + Versionize + Unversionize + Named {}
impl<T: DeserializeOwned + Serialize + Versionize + Unversionize + Named> Object for T {}

pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub fn to_bytes<T: Serialize + Versionize + Named>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    safe_serialize(value, &mut bytes, SIZE_LIMIT).expect("memory takes every byte");
    bytes
}

/// The object and what tfhe-rs writes for it.
pub fn read<T: Object>(bytes: &[u8]) -> Outcome<(T, Vec<u8>)> {
    let value: T = safe_deserialize(bytes, SIZE_LIMIT)?;
    let again = to_bytes(&value);
    Ok((value, again))
}

pub fn read_file<T: Object>(file: &Path) -> Outcome<(T, Vec<u8>, Vec<u8>)> {
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let (value, again) = read(&bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok((value, bytes, again))
}

/// "identical", or where two byte strings differ.
pub fn difference(file: &[u8], again: &[u8]) -> String {
    if file.len() != again.len() {
        return format!("{} bytes, written back {}", file.len(), again.len());
    }
    let places: Vec<usize> = (0..file.len()).filter(|&i| file[i] != again[i]).collect();
    match places.first() {
        None => "identical".into(),
        Some(first) => format!(
            "{} bytes differ, the first at {first}: {:02x}, written back {:02x}",
            places.len(),
            file[*first],
            again[*first]
        ),
    }
}
