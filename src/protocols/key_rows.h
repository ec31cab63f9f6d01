// The local part of a distributed key generation (threshold-tfhe.md 4.5, security.md 4.4, 4.5): this party's shares of the bodies of a
// component, from its shares of keys, noises and products, ready to be opened at degree t.
//
//   products   [s_i S_j] = z_ij + eps_i y_j + rho_j x_i + eps_i rho_j          from slices made in preprocessing
//   rows       [b] = <a, [z]> + [e] + [m]                                      a public mask; formulas and orders: tfhe/keygen.h
//   elements   q_l = sum_{c<4} X^c [b_{4l+c}]                                  all bodies of the component in row order, four per element
//
// The last element of a component whose bodies are no multiple of four (modulus switch zeros) is filled with zeros. Noises come packed
// in the same way, so that noise element l belongs to body element l and to nothing else.
//
// Rule R1. Everything here is in the ring of the component: BodyRows<Z64> takes Share<Z64> alone, and those are made of 128-bit key
// shares by key_in_ring, which reduces first. So what is opened of a 64-bit component has 32 bytes per element.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "protocols/key_plan.h"
#include "protocols/key_shares.h"
#include "tfhe/keygen.h"

namespace witan::protocols {

using algebra::Word;
using algebra::Z64;

template <Word Z>
using SecretShares = Secret<std::vector<Share<Z>>>;

/// The shares of a key for components of words of Z: as they are, or (Z64) reduced modulo 2^64.
template <Word Z>
SecretShares<Z> key_in_ring(const SharedKey& key);

/// Four sharings per element, packed by monomials; the last element is filled with zeros.
template <Word Z>
SecretShares<Z> packed(std::span<const Share<Z>> shares);
/// What was packed, from opened elements. Precondition (checked): opened.size() is that of packed() of `count`. Error: internal if the
/// fill of the last element is not zero, `what` it is (S16).
template <Word Z>
Result<std::vector<Z>> unpacked(std::span<const Gr<Z>> opened, std::size_t count, std::string_view what);

// ---- products

/// What preprocessing leaves of a slice, of inputs i < L and outputs j < M: shares of random x_i, y_j and of all their products.
template <Word Z>
struct SliceShares {
  std::span<const Share<Z>> x, y;
  std::span<const Share<Z>> z;  // packed: z_ij, j = 0 .. M-1 in M/4 elements, for one input after the other
};

/// Shares of what is opened of a slice, once: packed eps_i = s_i - x_i for all inputs, then packed rho_j = S_j - y_j. Precondition
/// (checked): input.size() == x.size(), output.size() == y.size(), a multiple of four.
template <Word Z>
SecretShares<Z> difference_shares(std::span<const Share<Z>> input, std::span<const Share<Z>> output,
                                  const SliceShares<Z>& slice);

/// Opened differences of a slice. Public.
template <Word Z>
struct SliceDifferences {
  std::vector<Z> eps;
  std::vector<Gr<Z>> rho;  // packed

  /// Precondition (checked): as many elements as difference_shares gives. Error: internal if the fill of eps is not zero (S16).
  static Result<SliceDifferences> from_opened(std::span<const Gr<Z>> opened, std::size_t inputs, std::size_t outputs);
};

/// Shares of the products of the input bits first_input .. first_input + count - 1 of a slice with its output bits, packed: those of
/// input first_input + i are written to out[i * stride] and behind. `z` of the slice: of these inputs alone. Preconditions (checked):
/// sizes fit each other; x and the differences are those of the whole slice.
template <Word Z>
void multiply_slice(const SliceShares<Z>& slice, const SliceDifferences<Z>& differences, std::size_t first_input,
                    std::size_t count, std::span<Share<Z>> out, std::size_t stride);

// ---- rows

/// Elements of a component's bodies.
std::uint64_t body_elements(const tfhe::Component& component);

/// Rows that are computed together. Rows of one body each are taken in fours, so that an element has its rows in one range.
struct RowRange {
  std::size_t first = 0, count = 0;
};
struct ElementRange {
  std::uint64_t first = 0, count = 0;
};
/// The elements of the rows. Precondition (checked): rows of the component, not empty; for LWE rows `first` is a multiple of four, and so
/// is `count` unless the range ends with the component.
ElementRange elements_of(const tfhe::Component& component, RowRange rows);
/// The input bits whose products the rows of a bootstrap key take.
RowRange inputs_of(const tfhe::Component& component, RowRange rows);
/// So many rows take about half a millisecond, with AVX2 one (bench/protocols); a multiple of four for LWE rows.
std::size_t rows_per_kernel(const tfhe::Component& component);

/// What a range of rows consumes besides keys and masks. The range says which; each noise is for one body, so nobody computes a range
/// with one noise under two masks (S33).
template <Word Z>
struct RowMaterial {
  std::span<const Share<Z>> noises;    // packed, elements_of(component, rows).count
  std::span<const Share<Z>> products;  // bootstrap keys: packed, for every input of inputs_of() and every output bit
};

/// The rows of one component at one party. Nothing that can be seen changes after construction: threads may share it. With the default
/// parameters it keeps 1.5 MB at most, and a kernel of rows_per_kernel() rows 0.6 MB.
///
/// How a row of polynomials is computed. Let T = X^4 of the polynomial ring, and pack(b) the polynomial in T of N/4 ring elements whose
/// coefficient l packs b_{4l} .. b_{4l+3}. Packing is linear over Z[T], and a = sum_{d<4} X^d a_d(T), so
///
///   pack(a z) = sum_{d<4} a_d(T) pack(X^d z)                                             in Z/2^w[T]/(T^{N/4}+1), for each of 4 planes
///
/// with the right-hand sides transformed once per key. Per row with k mask polynomials that is 4k transforms of size N/4 of the mask and 4
/// of size N/4 back, one for each plane: as much as k and 1 of size N, what a dealer needs who knows the key. It cannot be less: the mask
/// words are independent, and so are the 4 N/4 words of the result. Products of the four planes one by one would take 4 back and four
/// times the words; packing four rows instead of four coefficients takes the same transforms, but sixteen transformed planes of the key
/// for each of its polynomials instead of four times four quarters.
template <Word Z>
class BodyRows {
 public:
  /// `under`: shares of the key that the rows are encrypted under; `input`: of the key that they encrypt, empty exactly if the component
  /// has none. `mask`: from the component's position. Preconditions (checked): words of Z, sizes of the keys, N a multiple of four.
  BodyRows(const tfhe::Component& component, const tfhe::MaskReader& mask, std::span<const Share<Z>> under,
           std::span<const Share<Z>> input);

  const tfhe::Component& component() const { return component_; }
  /// Shares of the bodies of the rows, packed. Preconditions (checked): those of elements_of; sizes of the material.
  SecretShares<Z> compute(RowRange rows, const RowMaterial<Z>& material) const;

 private:
  struct Scratch;
  void add_polynomial_row(std::size_t row, std::span<Share<Z>> out, Scratch& scratch) const;
  void add_lwe_rows(RowRange rows, std::span<Share<Z>> out, Scratch& scratch) const;
  void add_message(std::size_t row, std::size_t first_input, const RowMaterial<Z>& material,
                   std::span<Share<Z>> out) const;

  tfhe::Component component_;
  tfhe::MaskReader mask_;
  std::vector<tfhe::SecretFactor<Z>> planes_;  // pack(X^d z_p), p-major, of rows of polynomials
  SecretShares<Z> under_;                      // of LWE rows
  SecretShares<Z> input_;
};

/// The same by the formulas as they are written: schoolbook on ring elements, body by body, packed at the end. For tests: slow.
/// `noises` and `products` (for every input bit and output bit of the component) one by one.
template <Word Z>
SecretShares<Z> plain_body_shares(const tfhe::Component& component, const tfhe::MaskReader& mask,
                                  std::span<const Share<Z>> under, std::span<const Share<Z>> input, RowRange rows,
                                  std::span<const Share<Z>> noises, std::span<const Share<Z>> products);

}  // namespace witan::protocols
