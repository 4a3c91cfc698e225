//! Curves over the size of a mailbox, as an SVG that needs nothing else; both of its axes are logarithmic.

use std::fmt::Write;
use std::fs;

use super::figures::{Unit, spell};
use super::process::at;
use crate::shell::{Result, say, shown, target};

#[derive(Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    /// Of the vertical axis.
    pub(super) unit: Unit,
    pub(super) series: Vec<Series>,
}

#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: String,
    /// Messages, and the figure.
    pub(super) points: Vec<(f64, f64)>,
}

/// One panel, with its title and labels.
const WIDTH: f64 = 540.0;
const HEIGHT: f64 = 340.0;
/// Around the field of the curves: left, top, right, bottom. Labels stand in it, those at the corners by half.
const MARGIN: [f64; 4] = [64.0, 62.0, 44.0, 46.0];

/// Told apart without colours, too: each series has its own mark.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#3d4450}.title{font-weight:600;font-size:14px;fill:#14171c}\
    .paper{fill:#fff}.grid{stroke:#e3e6ea}.s0{--c:#1f5fd0}.s1{--c:#b8540a}.s2{--c:#2c7a4b}\
    .curve{fill:none;stroke:var(--c);stroke-width:2}.mark{fill:var(--c)}\
    @media(prefers-color-scheme:dark){text{fill:#b9c0cb}.title{fill:#f2f4f7}.paper{fill:#15181d}.grid{stroke:#2d323a}\
    .s0{--c:#7fb0ff}.s1{--c:#f0a35e}.s2{--c:#74c795}}";

/// Writes the panels to `target/bench/peers.svg`.
pub(super) fn draw(panels: &[Panel]) -> Result {
    let file = target()?.join("bench/peers.svg");
    fs::create_dir_all(file.parent().unwrap_or(&file))
        .and_then(|()| fs::write(&file, svg(panels)))
        .map_err(|error| at(&file, &error))?;
    say(&format!("the plot is {}", shown(&file)));
    Ok(())
}

/// Two panels a row.
fn svg(panels: &[Panel]) -> String {
    let (width, height) = (2.0 * WIDTH, panels.len().div_ceil(2) as f64 * HEIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <style>{STYLE}</style>\n<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        let (x, y) = ((index % 2) as f64 * WIDTH, (index / 2) as f64 * HEIGHT);
        let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">\n{}</g>", panel.draw());
    }
    svg + "</svg>\n"
}

impl Panel {
    fn draw(&self) -> String {
        let [left, top, right, bottom] = MARGIN;
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = Axis::over(points().map(|point| point.0), left, WIDTH - right);
        let y = Axis::over(points().map(|point| point.1), HEIGHT - bottom, top);
        let mut out = format!("<text class=\"title\" x=\"{left}\" y=\"24\">{}</text>\n", self.title);
        for (decade, at) in x.decades() {
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{at:.1} {top}V{}\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                HEIGHT - bottom,
                HEIGHT - bottom + 18.0,
                count(decade)
            );
        }
        for (decade, at) in y.decades() {
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{left} {at:.1}H{}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - right,
                left - 6.0,
                at + 4.0,
                label(self.unit, decade)
            );
        }
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">messages in the mailbox</text>",
            f64::midpoint(left, WIDTH - right),
            HEIGHT - bottom + 36.0
        );
        let mut legend = left;
        for (number, series) in self.series.iter().enumerate() {
            let at: Vec<_> = series.points.iter().map(|point| (x.place(point.0), y.place(point.1))).collect();
            let line: Vec<_> = at.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let marks: String = at.iter().map(|at| mark(number, *at)).collect();
            let _ = writeln!(
                out,
                "<g class=\"s{number}\"><polyline class=\"curve\" points=\"{}\"/>{marks}{}</g>\
                 <text x=\"{:.1}\" y=\"46\" font-size=\"12\">{}</text>",
                line.join(" "),
                mark(number, (legend + 4.0, 42.0)),
                legend + 13.0,
                series.name
            );
            legend += 30.0 + 6.6 * series.name.len() as f64;
        }
        out
    }
}

/// From a power of ten to another.
struct Axis {
    decades: (i32, i32),
    places: (f64, f64),
}

impl Axis {
    fn over(figures: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let logarithms: Vec<f64> = figures.map(|figure| figure.max(1e-9).log10()).collect();
        let first = logarithms.iter().copied().fold(f64::INFINITY, f64::min).floor();
        let last = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil();
        // One size alone has a place, too.
        let decades =
            if last > first { (first as i32, last as i32) } else { (first as i32, first as i32 + 1) };
        Self { decades, places: (from, to) }
    }

    fn place(&self, figure: f64) -> f64 {
        let (first, last) = self.decades;
        let share = (figure.max(1e-9).log10() - f64::from(first)) / f64::from(last - first);
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    fn decades(&self) -> impl Iterator<Item = (f64, f64)> {
        (self.decades.0..=self.decades.1)
            .map(|power| 10_f64.powi(power))
            .map(|figure| (figure, self.place(figure)))
    }
}

fn mark(number: usize, (x, y): (f64, f64)) -> String {
    match number {
        0 => format!("<circle class=\"mark\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"),
        1 => format!(
            "<rect class=\"mark\" x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\"/>",
            x - 3.5,
            y - 3.5
        ),
        _ => format!("<path class=\"mark\" d=\"M{:.1} {:.1}l4.5 8h-9z\"/>", x, y - 5.0),
    }
}

fn count(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("the digits of a number are ASCII"))
        .collect();
    groups.join(",")
}

fn label(unit: Unit, figure: f64) -> String {
    match unit {
        Unit::Rate | Unit::Speed if figure >= 1.0 => count(figure),
        Unit::Rate | Unit::Speed => figure.to_string(),
        Unit::Time if figure >= 1.0 => format!("{figure} s"),
        Unit::Time if figure >= 0.99e-3 => format!("{:.0} ms", figure * 1e3),
        Unit::Time => format!("{:.0} µs", figure * 1e6),
        Unit::Memory => spell(unit, figure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_goes_from_decade_to_decade() {
        let axis = Axis::over([10.0, 2_000.0].into_iter(), 0.0, 300.0);
        assert_eq!(axis.decades, (1, 4));
        assert!((axis.place(100.0) - 100.0).abs() < 1e-6);
        assert_eq!(axis.decades().count(), 4);
        assert_eq!(Axis::over([100.0].into_iter(), 0.0, 1.0).decades, (2, 3));
    }

    #[test]
    fn every_series_is_drawn_and_named() {
        let series = |name: &str, shift: f64| Series {
            name: name.to_owned(),
            points: vec![(10.0, 0.001 * shift), (1_000_000.0, 0.5 * shift)],
        };
        let panel = Panel {
            title: "Login".to_owned(),
            unit: Unit::Time,
            series: vec![series("one", 1.0), series("two", 3.0)],
        };
        let svg = svg(&[panel]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        for text in [">one<", ">two<", ">1,000,000<", ">1 ms<", ">10 s<", ">Login<"] {
            assert!(svg.contains(text), "{text} is missing in {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
