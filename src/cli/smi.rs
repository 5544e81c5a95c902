//! What `nvidia-smi` tells of a GPU that CUDA does not: clocks now, the PCIe link, temperature, what slows it down; and what to do about it.

use crate::cuda::gpu::LinkRates;
use std::process::Command;

const FIELDS: &str = "clocks.sm,clocks.max.sm,clocks.mem,clocks.max.mem,pcie.link.gen.gpumax,pcie.link.width.current,pcie.link.width.max,\
                      temperature.gpu,power.draw,power.limit,persistence_mode";
/// The name since driver 535, and before.
const SLOWED_BY: [&str; 2] = ["clocks_event_reasons.active", "clocks_throttle_reasons.active"];

/// Below this part of what the link could do, something is wrong with it.
const FAIR_LINK: f64 = 0.6;

/// What is known; none where the driver does not tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    pub clock_mhz: Option<f64>,
    pub most_clock_mhz: Option<f64>,
    pub memory_mhz: Option<f64>,
    pub most_memory_mhz: Option<f64>,
    pub link_generation: Option<f64>,
    pub link_width: Option<f64>,
    pub most_link_width: Option<f64>,
    pub celsius: Option<f64>,
    pub watts: Option<f64>,
    pub most_watts: Option<f64>,
    pub persistent: Option<bool>,
    /// Bits of NVML's clock event reasons.
    pub slowed_by: u64,
}

/// Asks for the GPU in the PCI slot `bus_id`. None where there is no nvidia-smi, or it does not know the GPU.
pub fn ask(bus_id: &str) -> Option<Health> {
    SLOWED_BY.iter().find_map(|slowed_by| {
        let query = format!("--query-gpu={FIELDS},{slowed_by}");
        let done = Command::new("nvidia-smi").args([&query, "--format=csv,noheader,nounits", "-i", bus_id]).output().ok()?;
        done.status.success().then(|| parse(&String::from_utf8_lossy(&done.stdout))).flatten()
    })
}

fn parse(line: &str) -> Option<Health> {
    let words: Vec<&str> = line.lines().next()?.split(',').map(str::trim).collect();
    if words.len() != FIELDS.split(',').count() + 1 {
        return None;
    }
    let number = |i: usize| words.get(i).and_then(|w| w.parse().ok());
    Some(Health {
        clock_mhz: number(0),
        most_clock_mhz: number(1),
        memory_mhz: number(2),
        most_memory_mhz: number(3),
        link_generation: number(4),
        link_width: number(5),
        most_link_width: number(6),
        celsius: number(7),
        watts: number(8),
        most_watts: number(9),
        persistent: words.get(10).and_then(|w| ["Disabled", "Enabled"].iter().position(|v| v == w)).map(|at| at == 1),
        slowed_by: words.get(11).and_then(|w| u64::from_str_radix(w.trim_start_matches("0x"), 16).ok()).unwrap_or(0),
    })
}

impl Health {
    /// One line each, of what is known.
    pub fn lines(&self) -> Vec<String> {
        let of = |now: Option<f64>, most: Option<f64>, unit: &str| match (now, most) {
            (Some(now), Some(most)) => format!("{now:.0} of {most:.0} {unit}"),
            (Some(now), None) => format!("{now:.0} {unit}"),
            _ => format!("? {unit}"),
        };
        let celsius = self.celsius.map_or("?".into(), |c| format!("{c:.0}"));
        vec![
            format!(
                "clocks now: multiprocessors {}, memory {}; {celsius} degrees, {}",
                of(self.clock_mhz, self.most_clock_mhz, "MHz"),
                of(self.memory_mhz, self.most_memory_mhz, "MHz"),
                of(self.watts, self.most_watts, "W")
            ),
            format!(
                "PCIe: generation {}, {}",
                self.link_generation.map_or("?".into(), |g| format!("{g:.0}")),
                of(self.link_width, self.most_link_width, "lanes")
            ),
        ]
    }

    /// Bytes a second of the link at its best, each way: 8b/10b to generation 2, 128b/130b after.
    fn link(&self) -> Option<f64> {
        let per_lane = match self.link_generation? as u32 {
            1 => 0.25e9,
            2 => 0.5e9,
            3 => 0.985e9,
            4 => 1.969e9,
            5 => 3.938e9,
            _ => 7.563e9,
        };
        Some(per_lane * self.most_link_width?)
    }

    /// What to fix, most costly first.
    pub fn advice(&self, rates: Option<LinkRates>) -> Vec<String> {
        let mut advice = Vec::new();
        let reasons = [
            (0x08, "hardware slows it down (power or heat): look at cabling and cooling"),
            (0x40, "it is too hot and slowed down by hardware: look at cooling"),
            (0x20, "it is too hot and slowed down: look at cooling"),
            (0x80, "the power supply asks it to slow down: look at the machine's supply"),
        ];
        advice.extend(reasons.iter().filter(|(bit, _)| self.slowed_by & bit != 0).map(|(_, what)| (*what).to_owned()));
        if let (Some(now), Some(most)) = (self.link_width, self.most_link_width)
            && now < most
        {
            advice.push(format!("the slot gives it {now:.0} of {most:.0} PCIe lanes: another slot, or seat the card anew"));
        }
        if let (Some(rates), Some(link)) = (rates, self.link())
            && rates.to_device < FAIR_LINK * link
        {
            let (got, best) = (rates.to_device * 1e-9, link * 1e-9);
            advice
                .push(format!("copies to it reach {got:.1} of {best:.1} GB/s: is the link shared, or slowed to save power (BIOS, ASPM)?"));
        }
        if self.persistent == Some(false) {
            advice.push("persistence mode is off, so that every start waits for the driver: nvidia-smi -pm 1 (as root)".to_owned());
        }
        advice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_healthy_gpu_needs_nothing_and_each_trouble_is_named() {
        let well = parse("1980, 1980, 3201, 3201, 5, 16, 16, 41, 120.51, 700.00, Enabled, 0x0000000000000000\n").unwrap();
        assert_eq!((well.clock_mhz, well.watts, well.persistent, well.slowed_by), (Some(1980.0), Some(120.51), Some(true), 0));
        let fast = Some(LinkRates { to_device: 55e9, to_host: 55e9 });
        assert!(well.advice(fast).is_empty() && well.advice(None).is_empty());
        assert!(well.lines()[0].contains("1980 of 1980 MHz") && well.lines()[1].contains("generation 5, 16 of 16 lanes"));
        let slow = Some(LinkRates { to_device: 12e9, to_host: 12e9 });
        assert!(well.advice(slow)[0].contains("12.0 of 63.0 GB/s"));
        let ill = parse("345, 1980, 3201, 3201, 5, 8, 16, 91, 700.00, 700.00, Disabled, 0x0000000000000048").unwrap();
        let said = ill.advice(None).join("\n");
        for part in ["hardware slows it down", "too hot", "8 of 16 PCIe lanes", "-pm 1"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn what_is_not_told_is_left_open() {
        let little = parse("[N/A], 1980, [N/A], [N/A], [N/A], [N/A], [N/A], 41, [N/A], [N/A], [N/A], [N/A]").unwrap();
        assert!(little.advice(Some(LinkRates { to_device: 1.0, to_host: 1.0 })).is_empty());
        assert!(little.lines()[1].contains("generation ?"));
        assert_eq!((parse(""), parse("No devices were found")), (None, None));
    }
}
