// witan: the command line of operators and clients.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "version/version.h"

namespace {

using namespace witan::cli;

const std::vector<std::string> kFormats = {"big-compressed", "big-expanded", "small-compressed", "small-expanded"};

class Commands {
 public:
  Commands()
      : app_("Threshold decryption for FHEVM: start a committee, make keys, encrypt, decrypt, verify.", "witan") {
    app_.set_version_flag("--version", witan::version_text());
    app_.require_subcommand(1);
    app_.footer(
        "Start here:\n"
        "  witan demo --clients tests/clients         the whole journey, four nodes on this machine\n"
        "  witan committee up --dir D --test-nodes    a committee to play with\n"
        "  witan keygen --dir D                       a key that all parties make together\n"
        "  witan encrypt --dir D --key ID --type u64 --value 42 --out ct.bin\n"
        "  witan decrypt --dir D --key ID --type u64 ct.bin\n"
        "Exit codes: 0 ok, 1 failed, 2 usage.");
    committee();
    keygen();
    encrypt();
    expand();
    decrypt();
    inspect();
    demo();
  }

  int run(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app_.exit(error) == 0 ? kExitOk : kExitUsage;
    }
    return exit_code_;
  }

 private:
  template <class Options>
  Options& command(CLI::App& parent, const char* name, const char* description, Options& options) {
    current_ = parent.add_subcommand(name, description);
    current_->add_flag("--json", options.json, "one JSON value on standard output");
    current_->final_callback([this, &options] { exit_code_ = witan::cli::run(options); });
    return options;
  }

  void committee() {
    CLI::App* group = app_.add_subcommand("committee", "A committee of nodes on this machine");
    group->require_subcommand(1);
    auto& up = command(
        *group, "up",
        "Writes configurations, makes keys and certificates, starts the nodes, waits until they are healthy.\n"
        "On an existing folder: starts what does not run; options that differ from what was set up are refused.",
        up_);
    current_->add_option("--dir", up.dir, "folder of the committee")->required();
    current_->add_option("--parties", up.parties, "number of parties, 3t+1 (default: 4)");
    current_->add_option("--base-port", up.base_port, "first port to try (default: 20000)")
        ->check(CLI::Range(1, 65535));
    current_->add_flag("--test-nodes", up.test_nodes, "witan-node-test: may deal keys; never for production");
    current_->add_option("--party", up.only, "start only these parties of an existing committee");
    auto& status = command(*group, "status", "Nodes, addresses, processes, health, keys and their origin", status_);
    current_->add_option("--dir", status.dir, "folder of the committee")->required();
    auto& down = command(*group, "down", "Stops the nodes", down_);
    current_->add_option("--dir", down.dir, "folder of the committee")->required();
    current_->add_option("--party", down.only, "only these parties");
    current_->add_flag("--kill", down.kill, "SIGKILL, without a chance to finish anything");
  }

  void keygen() {
    auto& o = command(app_, "keygen", "Makes a key: all parties together, so that nobody ever has it", keygen_);
    current_->add_option("--dir", o.dir, "folder of the committee");
    CLI::Option* plan = current_->add_flag("--plan", o.plan, "only predict time, traffic, memory and disk");
    current_->add_option("--parties", o.parties, "--plan: 4, 7, 10 or 13")->needs(plan)->capture_default_str();
    current_->add_option("--bandwidth", o.bandwidth_mbit_per_s, "--plan: Mbit/s of a party, each way")
        ->needs(plan)
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    current_->add_option("--latency", o.latency_ms, "--plan: ms from party to party, one way")
        ->needs(plan)
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    current_->add_option("--cores", o.cores, "--plan: processors of a party")
        ->needs(plan)
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    current_->add_flag("--dealt", o.dealt,
                       "party 1 makes the key and deals shares: that party has seen it; needs --test-nodes");
    CLI::Option* existing = current_->add_option(
        "--existing", o.existing, "id of a key: a new key set from its secret keys, with the same public key");
    existing->excludes(plan)->excludes("--dealt");
    current_
        ->add_flag("--keep-tag", o.keep_tag,
                   "--existing: the key set carries the tag of the public key, not its own id")
        ->needs(existing);
    current_->add_option("--params", o.params, "parameter set")
        ->check(CLI::IsMember({"test", "default"}))
        ->capture_default_str();
    current_->add_option("--import-client-key", o.import_client_key, "a tfhe-rs ClientKey to deal instead of a new key")
        ->check(CLI::ExistingFile);
    CLI::Option* preproc = current_->add_option(
        "--preproc", o.preproc, "id of a finished preprocessing that no key has used: only the key is made of it");
    for (const char* other : {"--plan", "--dealt", "--params", "--import-client-key"}) preproc->excludes(other);
    CLI::Option* abort = current_->add_option(
        "--abort", o.abort,
        "id of a preprocessing: what runs of it, or of its key, ends at all parties, and its material is erased");
    for (const char* other : {"--plan", "--dealt", "--params", "--import-client-key", "--existing", "--preproc"})
      abort->excludes(other);
    current_->add_option("--timeout", o.timeout_seconds, "seconds, of everything; then what runs is aborted")
        ->capture_default_str();
  }

  void encrypt() {
    auto& o = command(app_, "encrypt", "Encrypts one value with the published key, as a client and a coprocessor would",
                      encrypt_);
    current_->add_option("--dir", o.dir, "folder of the committee")->required();
    current_->add_option("--key", o.key, "key id")->required();
    current_->add_option("--type", o.type, "bool, u8, u16, u32, u64, u128, address, u256")->required();
    current_->add_option("--value", o.value, "decimal, 0x..., true or false")->required();
    current_->add_option("--format", o.format, "ciphertext format")
        ->check(CLI::IsMember(kFormats))
        ->capture_default_str();
    current_->add_option("--out", o.out, "file to write")->required();
  }

  void expand() {
    auto& o = command(app_, "expand", "Turns a client's compact list into one ciphertext file per value", expand_);
    current_->add_option("--dir", o.dir, "folder of the committee")->required();
    current_->add_option("--key", o.key, "key id")->required();
    current_->add_option("--format", o.format, "ciphertext format")
        ->check(CLI::IsMember(kFormats))
        ->capture_default_str();
    current_->add_option("--out-dir", o.out_dir, "folder for <index>-<type>.bin")->required();
    current_->add_option("list", o.list, "a safe-serialized CompactCiphertextList")
        ->required()
        ->check(CLI::ExistingFile);
  }

  void decrypt() {
    auto& o = command(app_, "decrypt", "Has the committee decrypt ciphertexts and verifies every signature", decrypt_);
    current_->add_option("--dir", o.dir, "folder of the committee")->required();
    current_->add_option("--key", o.key, "key id")->required();
    current_->add_option("--type", o.types, "type of the value; repeat for several files of different types")
        ->required()
        ->allow_extra_args(false);
    current_->add_option("--format", o.format, "ciphertext format")
        ->check(CLI::IsMember(kFormats))
        ->capture_default_str();
    current_->add_option("files", o.files, "ciphertext files")->required()->check(CLI::ExistingFile);
    current_->add_option("--handle", o.handles, "handle per file, hexadecimal (default: SHA-256 of the file)")
        ->allow_extra_args(false);
    current_->add_option("--domain", o.domain, "JSON file: name, version, chain_id, verifying_contract[, salt]")
        ->check(CLI::ExistingFile);
    current_->add_option("--extra-data", o.extra_data, "hexadecimal, signed and echoed by the nodes");
    current_->add_option("--request-id", o.request_id, "64 hexadecimal digits (default: random)");
    current_->add_option("--timeout", o.timeout_seconds, "seconds")->capture_default_str();
    current_->add_option("--out", o.out, "writes the responses and everything needed to verify them (JSON)");
  }

  void inspect() {
    auto& o = command(app_, "inspect", "What a tfhe-rs object is: type, versions, parameters, sizes", inspect_);
    current_->add_option("file", o.file, "a safe-serialized object")->required()->check(CLI::ExistingFile);
  }

  void demo() {
    auto& o = command(app_, "demo",
                      "Four nodes, a key that they make together, a real client, every type in every format", demo_);
    current_->add_option("--params", o.params, "parameter set")
        ->check(CLI::IsMember({"test", "default"}))
        ->capture_default_str();
    auto* dealt = current_->add_flag(
        "--dealt", o.dealt,
        "a key that party 1 makes and deals, by test nodes: the choice for the default parameters, which take a "
        "committee on one machine ten minutes");
    current_->add_flag("--generated", o.generated, "a key that all parties make together, whatever the parameters")
        ->excludes(dealt);
    current_->add_option("--silent", o.silent, "stop so many nodes before decrypting")->check(CLI::Range(0, 4));
    current_->add_option("--liar", o.liar, "let so many nodes send wrong shares")->check(CLI::Range(0, 4));
    current_->add_option("--clients", o.clients, "folder of the npm clients (tests/clients)")
        ->check(CLI::ExistingDirectory);
    current_->add_option("--dir", o.dir, "keep everything in this folder (default: temporary)");
    current_->add_option("--timeout", o.timeout_seconds, "seconds per decryption")->capture_default_str();
  }

  CLI::App app_;
  CLI::App* current_ = nullptr;
  int exit_code_ = kExitOk;
  CommitteeUp up_;
  CommitteeStatus status_;
  CommitteeDown down_;
  Keygen keygen_;
  Encrypt encrypt_;
  Expand expand_;
  Decrypt decrypt_;
  Inspect inspect_;
  Demo demo_;
};

}  // namespace

int main(int argc, char** argv) {
  return Commands().run(argc, argv);
}
