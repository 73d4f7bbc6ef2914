//! An axis: where a value stands, and which values are written beside it.

/// From a span of values to a span of pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    log: bool,
    values: (f64, f64),
    pixels: (f64, f64),
}

impl Scale {
    /// By powers of ten with this much room at both ends, or in equal steps from zero where there is none.
    pub(super) fn over(
        values: impl Iterator<Item = f64> + Clone,
        room: Option<f64>,
        pixels: (f64, f64),
    ) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(f64::NEG_INFINITY, f64::max);
        let values = if let Some(room) = room {
            (least / room, most * room)
        } else {
            let step = step(most);
            (0.0, (most / step).ceil() * step)
        };
        Self { log: room.is_some(), values, pixels }
    }

    /// The pixel of a value.
    pub(super) fn place(&self, value: f64) -> f64 {
        let through = |value: f64| if self.log { value.log10() } else { value };
        let (from, to) = (through(self.values.0), through(self.values.1));
        let share = (through(value) - from) / (to - from);
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// Values for marks.
    pub(super) fn marks(&self) -> Vec<f64> {
        let (from, to) = self.values;
        if !self.log {
            let step = step(to);
            return (0..=10).map(|nth| f64::from(nth) * step).filter(|mark| *mark <= to * 1.001).collect();
        }
        let within = |factors: &[f64]| -> Vec<f64> {
            let tens = (-3..10).map(|power| 10_f64.powi(power));
            let all = tens.flat_map(|ten| factors.iter().map(move |factor| factor * ten));
            all.filter(|mark| (from..=to).contains(mark)).collect()
        };
        let tens = within(&[1.0]);
        if tens.len() >= 2 { tens } else { within(&[1.0, 2.0, 5.0]) }
    }
}

/// A round step that divides so much into two to five.
fn step(most: f64) -> f64 {
    let ten = 10_f64.powf(most.max(1e-9).log10().floor());
    [0.2, 0.5, 1.0, 2.0].into_iter().map(|factor| factor * ten).find(|step| most / step <= 5.0).unwrap_or(ten)
}

/// A number in three digits at most.
pub(super) fn short(value: f64) -> String {
    let (value, unit) = match value {
        large if large >= 999_500.0 => (large / 1e6, "M"),
        middle if middle >= 999.5 => (middle / 1e3, "k"),
        small => (small, ""),
    };
    let digits = match value {
        whole if whole >= 99.5 || (whole - whole.round()).abs() < 0.005 => 0,
        middle if middle >= 9.95 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}
