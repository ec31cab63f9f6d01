//! The two parameter sets that a request can select.

use tfhe::shortint::parameters::v1_7::meta::cpu::V1_7_META_PARAM_CPU_2_2_KS_PBS_PKE_TO_SMALL_ZKV2_TUNIFORM_2M128 as PRODUCTION;
use tfhe::shortint::parameters::*;
use tfhe::shortint::PBSParameters;
use tfhe::Config;

pub fn config(name: &str) -> Result<Config, String> {
    match name {
        "default" => Ok(PRODUCTION.into()),
        "test" => Ok(test_set().into()),
        _ => Err(format!("parameters '{name}': expected test or default")),
    }
}

/// The production set with dimensions and noise so small that nothing is hidden.
fn test_set() -> MetaParameters {
    let mut set = PRODUCTION;
    let no_noise = DynamicDistribution::new_t_uniform(0);

    let AtomicPatternParameters::Standard(PBSParameters::PBS(compute)) = &mut set.compute_parameters else {
        unreachable!("the production set computes with the classic bootstrap")
    };
    compute.lwe_dimension = LweDimension(1);
    compute.lwe_noise_distribution = no_noise;
    compute.polynomial_size = PolynomialSize(256);
    compute.glwe_noise_distribution = no_noise;
    (compute.pbs_base_log, compute.pbs_level) = decomposition(24, 1);
    (compute.ks_base_log, compute.ks_level) = decomposition(37, 1);
    compute.log2_p_fail = -64.0;
    compute.modulus_switch_noise_reduction_params = drift(10, 9.75539320076416, 1.92631390716519e-10);

    let client = set.dedicated_compact_public_key_parameters.as_mut().expect("a key for clients");
    client.pke_params.encryption_lwe_dimension = LweDimension(512);
    client.pke_params.encryption_noise_distribution = no_noise;
    (client.ksk_params.ks_base_log, client.ksk_params.ks_level) = decomposition(37, 1);
    client.re_randomization_parameters = None;

    let Some(CompressionParameters::Classic(lists)) = &mut set.compression_parameters else {
        unreachable!("the production set compresses with the classic bootstrap")
    };
    (lists.br_base_log, lists.br_level) = decomposition(24, 1);
    (lists.packing_ks_base_log, lists.packing_ks_level) = decomposition(27, 1);
    lists.packing_ks_glwe_dimension = GlweDimension(1);
    lists.packing_ks_key_noise_distribution = no_noise;
    lists.storage_log_modulus = CiphertextModulusLog(9);

    let squashing = set.noise_squashing_parameters.as_mut().expect("noise squashing");
    let NoiseSquashingParameters::Classic(squash) = &mut squashing.parameters else {
        unreachable!("the production set squashes with the classic bootstrap")
    };
    squash.glwe_dimension = GlweDimension(1);
    squash.polynomial_size = PolynomialSize(256);
    squash.glwe_noise_distribution = DynamicDistribution::new_t_uniform(0);
    (squash.decomp_base_log, squash.decomp_level_count) = decomposition(33, 2);
    squash.modulus_switch_noise_reduction_params = drift(8, 9.2, 2.182718682903484e-224);

    let packing = squashing.compression_parameters.as_mut().expect("lists of squashed values");
    packing.packing_ks_glwe_dimension = GlweDimension(1);
    packing.packing_ks_polynomial_size = PolynomialSize(256);
    (packing.packing_ks_base_log, packing.packing_ks_level) = decomposition(61, 1);
    set
}

fn decomposition(base_log: usize, levels: usize) -> (DecompositionBaseLog, DecompositionLevelCount) {
    (DecompositionBaseLog(base_log), DecompositionLevelCount(levels))
}

fn drift(zeros: usize, r_sigma_factor: f64, input_variance: f64) -> ModulusSwitchType {
    ModulusSwitchType::DriftTechniqueNoiseReduction(ModulusSwitchNoiseReductionParams {
        modulus_switch_zeros_count: LweCiphertextCount(zeros),
        ms_bound: NoiseEstimationMeasureBound((1u64 << 58) as f64),
        ms_r_sigma_factor: RSigmaFactor(r_sigma_factor),
        ms_input_variance: Variance(input_variance),
    })
}
