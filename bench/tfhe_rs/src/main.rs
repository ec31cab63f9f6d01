//! tfhe-rs as the baseline: does what Witan's own benchmark program does, to the same keys and the same client lists.
//!
//!   witan-baseline keyset FILE               makes a key set from a fresh seed and writes it
//!   witan-baseline serve KEY_SET PAIR VALUE  loads a key set and two compact lists (one value of two blocks; one u64), then does
//!                                            one repetition per line of standard input: pbs64, pbs128 or expand
//! Every answer is one line of JSON; times are in seconds. How many threads work is up to RAYON_NUM_THREADS.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::time::Instant;
use tfhe::core_crypto::prelude::NormalizedHammingWeightBound;
use tfhe::integer::IntegerCiphertext;
use tfhe::prelude::*;
use tfhe::safe_serialization::{safe_deserialize, safe_serialize};
use tfhe::shortint::parameters::v1_7::meta::cpu::V1_7_META_PARAM_CPU_2_2_KS_PBS_PKE_TO_SMALL_ZKV2_TUNIFORM_2M128 as PRODUCTION;
use tfhe::xof_key_set::CompressedXofKeySet;
use tfhe::*;

const SIZE_LIMIT: u64 = 1 << 31;

type Outcome<T> = std::result::Result<T, String>;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The value of a line of /proc/self/status, in bytes.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

fn seconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64()
}

fn make_key_set(file: &str) -> Outcome<()> {
    let bound = NormalizedHammingWeightBound::new(1.0).expect("a bound of 1 bounds nothing");
    let mut seed = vec![0; 16];
    File::open("/dev/urandom").and_then(|mut source| std::io::Read::read_exact(&mut source, &mut seed)).map_err(text)?;
    let begun = Instant::now();
    let (_, set) = CompressedXofKeySet::generate(PRODUCTION.into(), seed, 128, bound, Tag::default()).map_err(text)?;
    let made = seconds(begun);
    let peak = memory("VmHWM");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(file).map_err(text)?);
    safe_serialize(&set, &mut out, SIZE_LIMIT).map_err(text)?;
    out.into_inner().map_err(text)?.sync_all().map_err(text)?;
    println!(
        r#"{{"seconds": {made:.6}, "with_writing": {:.6}, "peak_bytes": {peak}, "bytes": {}}}"#,
        seconds(begun),
        std::fs::metadata(file).map_err(text)?.len()
    );
    Ok(())
}

fn read<T: serde::de::DeserializeOwned + Unversionize + named::Named>(file: &str) -> Outcome<T> {
    let source = BufReader::with_capacity(1 << 20, File::open(file).map_err(|error| format!("{file}: {error}"))?);
    safe_deserialize(source, SIZE_LIMIT).map_err(|error| format!("{file}: {error}"))
}

fn serve(key_set: &str, pair: &str, value: &str) -> Outcome<()> {
    let begun = Instant::now();
    let (_, server_key) = read::<CompressedXofKeySet>(key_set)?.decompress().into_raw_parts();
    set_server_key(server_key.clone());
    println!(r#"{{"seconds": {:.6}, "peak_bytes": {}, "bytes": {}}}"#, seconds(begun), memory("VmHWM"), memory("VmRSS"));

    let list: CompactCiphertextList = read(value)?;
    let pair: FheUint4 = read::<CompactCiphertextList>(pair)?
        .expand()
        .map_err(text)?
        .get(0)
        .map_err(text)?
        .ok_or("the first list holds no value of two blocks")?;
    let key: &integer::ServerKey = server_key.as_ref();
    let key: &shortint::ServerKey = key.as_ref();
    let block = pair.clone().into_raw_parts().0.blocks()[0].clone();
    let table = key.generate_lookup_table(|x| x);

    for line in std::io::stdin().lock().lines() {
        let begun = Instant::now();
        match line.map_err(text)?.as_str() {
            "pbs64" => {
                let _ = black_box(key.apply_lookup_table(&block, &table));
                println!(r#"{{"seconds": {:.9}}}"#, seconds(begun));
            }
            "pbs128" => {
                black_box(pair.squash_noise().map_err(text)?);
                println!(r#"{{"seconds": {:.9}}}"#, seconds(begun));
            }
            "expand" => {
                let value: FheUint64 = list
                    .expand()
                    .map_err(text)?
                    .get(0)
                    .map_err(text)?
                    .ok_or("the second list holds no u64")?;
                let expanded = seconds(begun);
                let squashed = value.squash_noise().map_err(text)?;
                let done = seconds(begun);
                let list = CompressedSquashedNoiseCiphertextListBuilder::new().push(squashed).build().map_err(text)?;
                black_box(list);
                let all = seconds(begun);
                println!(
                    r#"{{"seconds": {all:.9}, "expansion": {expanded:.9}, "squashing": {:.9}, "compression": {:.9}}}"#,
                    done - expanded,
                    all - done
                );
            }
            other => return Err(format!("'{other}': expected pbs64, pbs128 or expand")),
        }
        std::io::stdout().flush().map_err(text)?;
    }
    Ok(())
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["keyset", file] => make_key_set(file),
        ["serve", key_set, pair, value] => serve(key_set, pair, value),
        _ => Err("expected keyset FILE or serve KEY_SET PAIR VALUE".into()),
    };
    if let Err(error) = outcome {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
