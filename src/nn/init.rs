//! Initial values, as torchvision's ResNet: `kaiming_normal_(mode="fan_out", nonlinearity="relu")` for filters, torch's default
//! uniform for the classifier, constants for normalisations.

use crate::rng::Stream;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Normal with standard deviation `sqrt(2 / fan_out)`.
    KaimingNormal {
        fan_out: usize,
    },
    /// Uniform in `+-1/sqrt(fan_in)`: what `torch.nn.Linear` does for weight and bias.
    Uniform {
        fan_in: usize,
    },
    Constant(f32),
}

impl Init {
    pub fn fill(self, stream: &mut Stream, values: &mut [f32]) {
        match self {
            Self::KaimingNormal { fan_out } => {
                let std = (2.0 / fan_out as f64).sqrt();
                values.fill_with(|| (stream.normal() * std) as f32);
            }
            Self::Uniform { fan_in } => {
                let bound = 1.0 / (fan_in as f64).sqrt();
                values.fill_with(|| ((2.0 * stream.uniform_f64() - 1.0) * bound) as f32);
            }
            Self::Constant(c) => values.fill(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    fn moments(init: Init) -> (f64, f64, f64) {
        let mut values = vec![0.0; 200_000];
        init.fill(&mut Stream::new(3, Purpose::Init, 0, 0), &mut values);
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let var = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        let max = values.iter().fold(0.0f64, |m, &v| m.max(f64::from(v).abs()));
        (mean, var.sqrt(), max)
    }

    #[test]
    fn kaiming_normal_has_torchs_deviation() {
        let (mean, std, _) = moments(Init::KaimingNormal { fan_out: 64 * 9 });
        let expected = (2.0f64 / 576.0).sqrt();
        assert!(mean.abs() < 0.01 * expected && (std / expected - 1.0).abs() < 0.01, "{mean} {std} {expected}");
    }

    #[test]
    fn uniform_stays_in_bounds() {
        let (mean, std, max) = moments(Init::Uniform { fan_in: 512 });
        let bound = 1.0 / 512f64.sqrt();
        assert!(mean.abs() < 0.01 * bound && (std / (bound / 3f64.sqrt()) - 1.0).abs() < 0.01);
        assert!(max <= bound && max > 0.999 * bound);
    }
}
