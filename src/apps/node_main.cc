#include "apps/node_main.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <thread>

#include "apps/malloc_options.h"
#include "base/log.h"
#include "node/identity.h"
#include "node/node.h"
#include "runtime/event.h"
#include "store/vault_file/file_vault.h"
#include "version/version.h"

// Read by jemalloc before main().
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = witan::apps::kMallocOptions;
}

namespace witan::apps {
namespace {

constexpr auto kShutdownGrace = std::chrono::seconds(5);

int failed(const Error& error) {
  std::cerr << "error: " << error.message << "\n";
  return 1;
}

Result<std::vector<std::string>> generate_keys(const node::Config& config, const node::KeyMaterialOptions& options) {
  using Visibility = store::FileVaultOptions::Visibility;
  WITAN_ASSIGN(auto private_vault, store::FileVault::open({.root = config.private_vault.path,
                                                           .prefix = config.private_vault.prefix,
                                                           .visibility = Visibility::private_objects}));
  WITAN_ASSIGN(auto public_vault, store::FileVault::open({.root = config.public_vault.path,
                                                          .prefix = config.public_vault.prefix,
                                                          .visibility = Visibility::public_objects}));
  OsRng rng;
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return node::generate_key_material(config, *private_vault, *public_vault, options, rng, now);
}

/// Connections of strangers take descriptors until they are refused: as many as the system gives.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(setrlimit(RLIMIT_NOFILE, &limit));
  constexpr rlim_t kEnough = 16384;
  if (limit.rlim_max < kEnough)
    log::warn("this process may open {} files and connections; let the system give it {} or more", limit.rlim_max,
              kEnough);
}

runtime::Task<void> serve(node::Node& node, runtime::Event& stop) {
  co_await stop.wait();
  log::info("stopping");
  co_await node.stop(kShutdownGrace);
}

int run_node(const node::LoadedConfig& loaded, const NodeProgram& program, bool keeps_blocks) {
  // All threads inherit the mask; one thread waits for the signals.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  if (!loaded.config.log_file.empty()) {
    const Status opened = log::set_file(loaded.config.log_file.c_str());
    if (!opened) return failed(opened.error());
  }
  std::unique_ptr<node::Extension> extension;
  if (program.make_extension) {
    auto made = program.make_extension(loaded);
    if (!made) return failed(made.error());
    extension = *std::move(made);
  }
  log::info("{} {}", program.name, version_text());
  if (!keeps_blocks) log::warn("the allocator takes no threshold: preprocessing will take more processor time");
  raise_descriptor_limit();
  OsRng rng;
  runtime::ThreadLoop loop;
  runtime::Event stop(loop);
  bool faulted = false;
  auto started = node::Node::start(loaded.config, {program.name, version_text()}, loop, rng, extension.get(),
                                   [&](const Error& fault) {
                                     log::error("this node ends: {}", fault.message);
                                     faulted = true;
                                     stop.set();
                                   });
  if (!started) {
    log::error("cannot start: {}", started.error().message);
    return 1;
  }
  std::jthread waiter([&] {
    int signal_number = 0;
    sigwait(&signals, &signal_number);
    loop.post([&stop] { stop.set(); });
  });
  loop.run(serve(**started, stop));
  pthread_kill(waiter.native_handle(), SIGINT);  // it still waits when no signal was what ended the node
  started->reset();
  return faulted ? 1 : 0;
}

}  // namespace

int node_main(int argc, char** argv, const NodeProgram& program) {
  const bool keeps_blocks = keep_large_blocks();
  CLI::App app(program.description, program.name);
  app.set_version_flag("--version", version_text());
  std::filesystem::path config_file;
  bool check = false;
  app.add_option("--config-file", config_file, "TOML configuration");
  app.add_flag("--check-config", check, "read the configuration, say what is wrong with it, and end");
  auto* keys = app.add_subcommand(
      "gen-keys", "makes this party's signing key, certificates and published identity; keeps what exists");
  node::KeyMaterialOptions options;
  keys->add_option("--config-file", config_file, "TOML configuration")->required();
  keys->add_option("--tls-subject", options.tls_subject, "identity of this party: common name of its certificates")
      ->required();
  keys->add_option("--tls-san", options.tls_names, "further DNS names of the TLS certificate");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (config_file.empty()) {
    std::cerr << "error: --config-file is missing; see --help\n";
    return 2;
  }
  const auto loaded = node::load_config(config_file, program.extra_sections);
  if (!loaded) return failed(loaded.error());
  if (keys->parsed()) {
    const auto lines = generate_keys(loaded->config, options);
    if (!lines) return failed(lines.error());
    for (const std::string& line : *lines) std::cout << line << "\n";
    return 0;
  }
  if (check) {
    std::cout << config_file.string() << ": ok, party " << loaded->config.threshold.my_id << " of "
              << loaded->config.committee_size().parties() << "\n";
    return 0;
  }
  return run_node(*loaded, program, keeps_blocks);
}

}  // namespace witan::apps
