//! Plots as inline SVG, without scripts, in the colours of the categories.

use plotters::backend::SVGBackend;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::*;

use super::document::{Bar, Kind};
use super::text::Count;

/// The categories in the order in which they are stacked and listed, with their colours.
pub const CATEGORIES: [(&str, RGBColor); 6] = [
    ("data", RGBColor(37, 99, 205)),
    ("read", RGBColor(14, 145, 130)),
    ("security", RGBColor(200, 60, 50)),
    ("schema", RGBColor(190, 130, 10)),
    ("system", RGBColor(110, 115, 125)),
    ("application", RGBColor(125, 75, 190)),
];

const WIDTH: u32 = 900;
const HEIGHT: u32 = 230;
/// Height of one bar of the plot by type, and the room for its name and its count.
const LINE: i32 = 22;
const NAME: i32 = 220;
const COUNT: i32 = 90;
/// Types beyond these are one bar.
const SHOWN: usize = 10;

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// The colour of a category as CSS writes it.
pub fn css(category: &str) -> String {
    let RGBColor(red, green, blue) = color(category);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn color(category: &str) -> RGBColor {
    CATEGORIES.iter().find(|(name, _)| *name == category).map_or(RGBColor(110, 115, 125), |(_, color)| *color)
}

/// Activity over time, stacked by category; empty where there was none.
pub fn over_time(bars: &[Bar]) -> String {
    let highest = bars.iter().map(|bar| bar.counts.values().sum::<u64>()).max().unwrap_or(0);
    let mut svg = String::new();
    if highest == 0 || draw_over_time(&mut svg, bars, highest).is_err() {
        return String::new();
    }
    svg
}

fn draw_over_time(svg: &mut String, bars: &[Bar], highest: u64) -> Drawn {
    let area = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
    let count = bars.len() as f64;
    let mut chart = ChartBuilder::on(&area)
        .margin_top(8)
        .margin_right(12)
        .x_label_area_size(26)
        .y_label_area_size(56)
        .build_cartesian_2d(0_f64..count, 0_f64..highest as f64 * 1.05)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(bars.len().min(9))
        .y_labels(5)
        .x_label_formatter(&|place| label(bars, *place))
        .y_label_formatter(&|number| {
            if number.fract() == 0.0 { Count(*number as u64).to_string() } else { String::new() }
        })
        .label_style(("sans-serif", 13).into_font().color(&RGBColor(70, 75, 85)))
        .axis_style(RGBColor(150, 155, 165))
        .bold_line_style(RGBColor(225, 228, 233))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (place, bar) in bars.iter().enumerate() {
        let (left, right) = (place as f64 + 0.1, place as f64 + 0.9);
        let mut base = 0.0;
        for (category, color) in CATEGORIES {
            let events = bar.counts.get(category).copied().unwrap_or(0) as f64;
            if events > 0.0 {
                chart.draw_series([Rectangle::new([(left, base), (right, base + events)], color.filled())])?;
                base += events;
            }
        }
    }
    drop(chart);
    area.present()
}

/// The label of the interval that begins at this place.
fn label(bars: &[Bar], place: f64) -> String {
    if place.fract() != 0.0 {
        return String::new();
    }
    bars.get(place as usize).map(|bar| bar.label.clone()).unwrap_or_default()
}

/// Events by type, the most frequent first, in the colours of their categories; empty where there are none.
pub fn by_kind(kinds: &[Kind]) -> String {
    let mut lines: Vec<(String, u64, RGBColor)> = kinds
        .iter()
        .take(SHOWN)
        .map(|kind| (shortened(kind.name.as_str()), kind.events.0, color(&kind.category)))
        .collect();
    let others = kinds.get(SHOWN..).unwrap_or_default();
    if !others.is_empty() {
        let name = format!("{} other types", others.len());
        lines.push((name, others.iter().map(|kind| kind.events.0).sum(), color("")));
    }
    let mut svg = String::new();
    if lines.is_empty() || draw_by_kind(&mut svg, &lines).is_err() {
        return String::new();
    }
    svg
}

fn draw_by_kind(svg: &mut String, lines: &[(String, u64, RGBColor)]) -> Drawn {
    let height = u32::try_from(lines.len()).unwrap_or(1) * LINE.unsigned_abs() + 6;
    let area = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    let highest = lines.iter().map(|(_, events, _)| *events).max().unwrap_or(1).max(1);
    let style = ("sans-serif", 14).into_font().color(&RGBColor(35, 40, 50));
    let room = f64::from(WIDTH.cast_signed() - NAME - COUNT);
    for (place, (name, events, color)) in lines.iter().enumerate() {
        let top = i32::try_from(place).unwrap_or(0) * LINE + 3;
        let right = NAME + (room * *events as f64 / highest as f64).max(1.0) as i32;
        area.draw(&Text::new(name.as_str(), (0, top + 2), style.clone()))?;
        area.draw(&Rectangle::new([(NAME, top), (right, top + LINE - 6)], color.filled()))?;
        area.draw(&Text::new(Count(*events).to_string(), (right + 8, top + 2), style.clone()))?;
    }
    area.present()
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= 28 { name.to_owned() } else { name.chars().take(27).chain(['…']).collect() }
}
