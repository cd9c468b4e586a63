//! Draws loss curves.

use plotters::prelude::*;

/// A curve: its name, and its value after each epoch.
pub type Curve<'a> = (&'a str, &'a [f32]);

/// Draws curves over epochs, the losses on a logarithmic axis, as an SVG at `path`.
pub fn draw(
    path: &str,
    title: &str,
    curves: &[Curve<'_>],
) -> Result<(), Box<dyn std::error::Error>> {
    let losses = || curves.iter().flat_map(|(_, losses)| losses.iter().copied());
    let (low, high) = (
        losses().fold(f32::MAX, f32::min),
        losses().fold(0.0, f32::max),
    );
    let epochs = curves
        .iter()
        .map(|(_, losses)| losses.len())
        .max()
        .unwrap_or(0);

    let root = SVGBackend::new(path, (900, 540)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..epochs as f32, (low * 0.8..high * 1.2).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("epoch")
        .y_desc("loss (logarithmic)")
        .label_style(("sans-serif", 15))
        .draw()?;
    let colours = [RGBColor(38, 110, 188), RGBColor(217, 95, 14)];
    for ((name, losses), colour) in curves.iter().zip(colours) {
        let points = (1..)
            .zip(*losses)
            .map(|(epoch, &loss)| (epoch as f32, loss));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .border_style(TRANSPARENT)
        .label_font(("sans-serif", 15))
        .draw()?;
    root.present()?;
    Ok(())
}
