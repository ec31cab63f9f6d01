//! tfhe-rs as the judge: loads our keys, computes with them, writes ciphertexts for a committee and opens ours.
//!
//! Every line of standard output is one finding, its fields separated by tabs:
//!   check <ok|wrong> <what> <seconds>
//!   opened <file> <value> <"identical", or how the bytes written back differ> | refused <file> <why>
//! A step that cannot go on ends the program with 1 and the reason on standard error.

mod object;
mod parameters;
mod value;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::time::Instant;
use tfhe::core_crypto::prelude::NormalizedHammingWeightBound;
use tfhe::integer::U256;
use tfhe::prelude::*;
use tfhe::shortint::parameters::CompactPublicKeyEncryptionParameters;
use tfhe::xof_key_set::CompressedXofKeySet;
use tfhe::zk::{CompactPkeCrs, ZkComputeLoad};
use tfhe::*;
use value::{Squashed, Value};

pub type Outcome<T> = std::result::Result<T, String>;

/// A value in the clear; booleans are 0 and 1. Its text is hexadecimal.
#[derive(Clone, Copy, PartialEq)]
pub struct Plain(pub U256);

impl Plain {
    pub fn of_bool(value: bool) -> Self {
        Plain(U256::from(value as u64))
    }

    fn parse(text: &str) -> Outcome<Self> {
        let wrong = || format!("value '{text}': expected 0x and at most 64 digits");
        let digits = text.strip_prefix("0x").filter(|d| !d.is_empty() && d.len() <= 64 && d.is_ascii()).ok_or_else(wrong)?;
        let padded = format!("{digits:0>64}");
        let half = |range| u128::from_str_radix(&padded[range], 16).map_err(|_| wrong());
        Ok(Plain(U256::from((half(32..64)?, half(0..32)?))))
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self.0.to_low_high_u128() {
            (low, 0) => write!(out, "{low:#x}"),
            (low, high) => write!(out, "{high:#x}{low:032x}"),
        }
    }
}

/// Findings, with the time since the last one.
struct Report {
    last: Instant,
}

impl Report {
    fn new() -> Self {
        Report { last: Instant::now() }
    }

    fn check(&mut self, good: bool, what: impl fmt::Display) {
        let now = Instant::now();
        let seconds = now.duration_since(self.last).as_secs_f64();
        self.last = now;
        println!("check\t{}\t{what}\t{seconds:.3}", if good { "ok" } else { "wrong" });
    }
}

struct Keys {
    public_key: CompactPublicKey,
    server_key: ServerKey,
}

/// The public key inside of a key set is the published one, or another one for the same secret key (a set from existing keys).
#[derive(PartialEq)]
enum Inner {
    Same,
    Other,
}

/// Loads what a committee published and checks each property on the way.
/// `inner`: the public key inside of the set.
fn load_keys(config: Config, public_file: &Path, set_file: &Path, inner: Inner, report: &mut Report) -> Outcome<Keys> {
    let (set, bytes, again) = object::read_file::<CompressedXofKeySet>(set_file)?;
    report.check(true, format!("key set loads, {} bytes", bytes.len()));
    let difference = object::difference(&bytes, &again);
    report.check(difference == "identical", format!("key set written back: {difference}"));
    drop((bytes, again));
    report.check(set.is_conformant(&config), "key set is conformant");

    let (public_key, bytes, again) = object::read_file::<CompactPublicKey>(public_file)?;
    report.check(true, format!("public key loads, {} bytes", bytes.len()));
    let pke: CompactPublicKeyEncryptionParameters = config.public_key_encryption_parameters().map_err(object::text)?;
    report.check(public_key.is_conformant(&pke), "public key is conformant");
    // The published key carries the old tag of the expansion kind, which clients from 1.3 on read; tfhe-rs writes the new one.
    // Behind it come its variant, the proof scheme (8 bytes) and the Tag.
    let place = again.len() - (4 + 8 + public_key.tag().data().len()) - 8 - 8;
    let mut upgraded = bytes.clone();
    let old = bytes.len() == again.len() && bytes[place..place + 4] == [0; 4];
    if old {
        upgraded[place] = 1;
    }
    let difference = object::difference(&upgraded, &again);
    let note = if old { " (but for the old tag of the expansion kind)" } else { "" };
    report.check(difference == "identical", format!("public key written back: {difference}{note}"));

    let (of_set, server_key) = set.decompress().into_raw_parts();
    report.check(true, "key set decompresses");
    let difference = object::difference(&again, &object::to_bytes(&of_set));
    let good = (difference == "identical") == (inner == Inner::Same) && of_set.is_conformant(&pke);
    report.check(good, format!("public key of the set against the file: {difference}"));
    report.check(server_key.is_conformant(&config.into()), "server key is conformant");
    set_server_key(server_key.clone());
    Ok(Keys { public_key, server_key })
}

/// Makes a client key and its key set: `client_key.bin`, `key_set.bin`, `public_key.bin` in a folder.
fn make_keys(config: Config, seed: &str, folder: &Path, report: &mut Report) -> Outcome<()> {
    let bound = NormalizedHammingWeightBound::new(1.0).expect("a bound of 1 bounds nothing");
    let mut tag = Tag::default();
    tag.set_data(b"interop");
    let (client_key, set) =
        CompressedXofKeySet::generate(config, seed.as_bytes().to_vec(), 128, bound, tag).map_err(object::text)?;
    report.check(true, "tfhe-rs makes a client key and a key set");
    save(&folder.join("client_key.bin"), &object::to_bytes(&client_key))?;
    save(&folder.join("key_set.bin"), &object::to_bytes(&set))?;
    save(&folder.join("public_key.bin"), &object::to_bytes(&set.decompress().into_raw_parts().0))
}

fn save(file: &Path, bytes: &[u8]) -> Outcome<()> {
    std::fs::write(file, bytes).map_err(|error| format!("{}: {error}", file.display()))
}

/// Does what a plan says, one step per line:
///   input <name> <type> <value>           a value of the client's list
///   proven <name> <type> <value>          a value of the client's list with proof
///   random <name> <type> <seed>           what the OPRF key makes of the seed
///   compute <name> <operation> <operands>
///   write <format>                        of everything above, as <name>.<format>.bin
struct Plan {
    inputs: Vec<Input>,
    proven: Vec<Input>,
    random: Vec<(String, String, String)>,
    computations: Vec<(String, String, Vec<String>)>,
    formats: Vec<String>,
}

/// Name, type and value.
type Input = (String, String, Plain);

impl Plan {
    fn read(file: &Path) -> Outcome<Self> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut plan = Plan { inputs: vec![], proven: vec![], random: vec![], computations: vec![], formats: vec![] };
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["input", name, kind, value] => plan.inputs.push((name.into(), kind.into(), Plain::parse(value)?)),
                ["proven", name, kind, value] => plan.proven.push((name.into(), kind.into(), Plain::parse(value)?)),
                ["random", name, kind, seed] => plan.random.push((name.into(), kind.into(), seed.into())),
                ["compute", name, operation, ref operands @ ..] => {
                    let operands = operands.iter().map(|operand| operand.to_string()).collect();
                    plan.computations.push((name.into(), operation.into(), operands));
                }
                ["write", format] => plan.formats.push(format.into()),
                _ => return Err(format!("{}: line '{line}' is not understood", file.display())),
            }
        }
        Ok(plan)
    }
}

fn list_of(public_key: &CompactPublicKey, values: &[Input]) -> Outcome<CompactCiphertextListBuilder> {
    let mut list = CompactCiphertextList::builder(public_key);
    for (_, kind, plain) in values {
        value::push(&mut list, kind, *plain)?;
    }
    Ok(list)
}

fn evaluate(config: Config, keys: &Keys, plan: &Plan, folder: &Path, report: &mut Report) -> Outcome<()> {
    let mut values: Vec<(String, Value)> = Vec::new();
    let take = |list: &CompactCiphertextListExpander, inputs: &[Input]| -> Outcome<Vec<(String, Value)>> {
        let one = |(index, (name, kind, _)): (usize, &Input)| {
            Ok((name.clone(), Value::of_list(list, index, kind).map_err(|error| format!("{name}: {error}"))?))
        };
        inputs.iter().enumerate().map(one).collect()
    };

    let list = list_of(&keys.public_key, &plan.inputs)?.build_packed();
    save(&folder.join("list.bin"), &object::to_bytes(&list))?;
    values.extend(take(&list.expand().map_err(object::text)?, &plan.inputs)?);
    report.check(true, format!("{} values encrypted in one list and expanded", plan.inputs.len()));

    if !plan.proven.is_empty() {
        let crs = CompactPkeCrs::from_config(config, 64).map_err(object::text)?;
        let metadata = b"interop of witan";
        let list = list_of(&keys.public_key, &plan.proven)?
            .build_with_proof_packed(&crs, metadata, ZkComputeLoad::Verify)
            .map_err(object::text)?;
        let expanded = list.verify_and_expand(&crs, &keys.public_key, metadata).map_err(object::text)?;
        values.extend(take(&expanded, &plan.proven)?);
        report.check(true, format!("{} values encrypted in one list with proof, verified and expanded", plan.proven.len()));
    }

    for (name, kind, seed) in &plan.random {
        values.push((name.clone(), Value::random(kind, seed.as_bytes()).map_err(|error| format!("{name}: {error}"))?));
    }
    if !plan.random.is_empty() {
        report.check(true, format!("{} values drawn with the OPRF key", plan.random.len()));
    }

    let mut places: HashMap<String, usize> = values.iter().enumerate().map(|(i, (name, _))| (name.clone(), i)).collect();
    for (name, operation, operands) in &plan.computations {
        let operands = operands
            .iter()
            .map(|operand| places.get(operand).map(|&i| &values[i].1).ok_or_else(|| format!("{name}: no value {operand}")))
            .collect::<Outcome<Vec<&Value>>>()?;
        let result = Value::compute(operation, &operands).map_err(|error| format!("{name}: {error}"))?;
        places.insert(name.clone(), values.len());
        values.push((name.clone(), result));
    }
    if !plan.computations.is_empty() {
        report.check(true, format!("{} results computed", plan.computations.len()));
    }

    let mut squashed: Vec<Option<Squashed>> = values.iter().map(|_| None).collect();
    for format in &plan.formats {
        for ((name, value), squashed) in values.iter().zip(&mut squashed) {
            let bytes = value.to_format(format, squashed).map_err(|error| format!("{name} as {format}: {error}"))?;
            save(&folder.join(format!("{name}.{format}.bin")), &bytes)?;
        }
        report.check(true, format!("{} ciphertexts written as {format}", values.len()));
    }
    Ok(())
}

/// Opens the ciphertexts of a list of lines `<file> <format> <type>`.
fn open(client_key: &ClientKey, keys: &Keys, files: &Path) -> Outcome<()> {
    let text = std::fs::read_to_string(files).map_err(|error| format!("{}: {error}", files.display()))?;
    for line in text.lines() {
        let [file, format, kind] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("{}: line '{line}' is not understood", files.display()));
        };
        let bytes = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
        match value::open(&bytes, format, kind, client_key, &keys.server_key) {
            Ok(opened) => println!("opened\t{file}\t{}\t{}", opened.value, object::difference(&bytes, &opened.again)),
            Err(error) => println!("refused\t{file}\t{}", error.replace(['\n', '\t'], " ")),
        }
    }
    Ok(())
}

const USAGE: &str = "witan-interop make-keys PARAMS SEED FOLDER
witan-interop check PARAMS PUBLIC_KEY KEY_SET
witan-interop evaluate PARAMS PUBLIC_KEY KEY_SET PLAN FOLDER
witan-interop evaluate-with-other-public-key PARAMS PUBLIC_KEY KEY_SET PLAN FOLDER
witan-interop open PARAMS PUBLIC_KEY KEY_SET CLIENT_KEY FILES";

fn run(arguments: &[&str]) -> Outcome<()> {
    let report = &mut Report::new();
    match arguments {
        ["make-keys", name, seed, folder] => make_keys(parameters::config(name)?, seed, Path::new(folder), report),
        ["check", name, public_key, set] => {
            load_keys(parameters::config(name)?, Path::new(public_key), Path::new(set), Inner::Same, report).map(|_| ())
        }
        [command @ ("evaluate" | "evaluate-with-other-public-key"), name, public_key, set, plan, folder] => {
            let config = parameters::config(name)?;
            let inner = if *command == "evaluate" { Inner::Same } else { Inner::Other };
            let keys = load_keys(config, Path::new(public_key), Path::new(set), inner, report)?;
            evaluate(config, &keys, &Plan::read(Path::new(plan))?, Path::new(folder), report)
        }
        ["open", name, public_key, set, client_key, files] => {
            let keys = load_keys(parameters::config(name)?, Path::new(public_key), Path::new(set), Inner::Same, report)?;
            let (client_key, bytes, again) = object::read_file::<ClientKey>(Path::new(client_key))?;
            let difference = object::difference(&bytes, &again);
            report.check(difference == "identical", format!("client key written back: {difference}"));
            open(&client_key, &keys, Path::new(files))
        }
        _ => Err(format!("usage:\n{USAGE}")),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let Err(error) = run(&arguments) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}
