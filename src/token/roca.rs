//! Tells RSA moduli of the flawed generator known as ROCA (CVE-2017-15361), whose private keys can
//! be computed from the public ones.
//!
//! Its primes are `k * M + (65537^a mod M)` for `M` the product of small primes, so the modulus is
//! a power of 65537 modulo each of them. Of sound keys fewer than one in 100 million is too.

/// Whether the modulus, big-endian, has the generator's fingerprint.
pub(super) fn is_fingerprinted(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| is_power_of_65537(remainder(modulus, *prime), *prime))
}

fn remainder(number: &[u8], prime: u32) -> u32 {
    number.iter().fold(0, |rest, octet| ((rest << 8) | u32::from(*octet)) % prime)
}

fn is_power_of_65537(rest: u32, prime: u32) -> bool {
    let generator = 65_537 % prime;
    let mut power = 1;
    for _ in 0..prime {
        if power == rest {
            return true;
        }
        power = power * generator % prime;
    }
    false
}

/// The primes whose product `M` is for the smallest keys, without 2; larger keys add more.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn powers_of_the_generator_are_told_and_their_neighbours_are_not() {
        // 65537^7 and the number two above it: the fingerprint is about residues alone.
        let power = 65_537_u128.pow(7);
        assert!(is_fingerprinted(&power.to_be_bytes()));
        assert!(!is_fingerprinted(&(power + 2).to_be_bytes()));
    }

    #[test]
    fn a_sound_modulus_is_not_told() {
        let modulus = HEXLOWER.decode(b"c5a1b34f9d2e8871").unwrap();
        assert!(!is_fingerprinted(&modulus));
    }
}
