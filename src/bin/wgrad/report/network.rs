//! The tables, histograms and boards of a network.

use super::page::{Page, escaped};
use crate::inspect::activity::{Activity, loss_text};
use crate::inspect::pictured;
use crate::inspect::rooms::Rooms;
use crate::inspect::tensors::{Tensor, heights};
use indicatif::HumanCount;
use std::fmt::Write;
use wgrad::nnue::Parameters;
use wgrad::nnue::data::Encoding;
use wgrad::nnue::train::inspect::{FirstLayer, Histogram, Neurons};

/// Lanes with boards, of each accumulator.
const LANES: usize = 6;
/// The indices of neurons that a table names.
const NAMED: usize = 12;

/// Adds a row for each tensor.
pub fn push_tensors(page: &mut Page, parameters: &Parameters) {
    page.push("<h3>Tensors</h3>");
    let rows = Tensor::all(parameters).into_iter().map(|tensor| {
        let shape: Vec<_> = tensor.shape.iter().map(usize::to_string).collect();
        vec![
            tensor.name.to_owned(),
            shape.join(" × "),
            histogram(&tensor.histogram),
            format!("{:.5}", tensor.lowest),
            format!("{:.5}", tensor.highest),
            format!("{:.5}", tensor.size),
            HumanCount(tensor.zeros as u64).to_string(),
        ]
    });
    let head = [
        "tensor",
        "shape",
        "histogram",
        "lowest",
        "highest",
        "rms",
        "zeros",
    ];
    page.table(&head, rows);
    page.text(
        "faint",
        "The histograms reach from the lowest to the highest value; their heights \
                        are logarithmic.",
    );
}

/// Adds how near integers come to the limits of their types, if the network has an integer form.
pub fn push_rooms(page: &mut Page, parameters: &Parameters, encoding: &Encoding) {
    let Ok(rooms) = Rooms::new("wgrad", parameters, encoding) else {
        return;
    };
    page.push("<h3>Room of the integers</h3>");
    let head = ["number", "largest possible size", "limit", "share"];
    page.table(&head, rooms.rows().map(Vec::from));
    page.text("faint", "The integers are those of the save format wgrad.");
}

/// A histogram as bars.
fn histogram(histogram: &Histogram) -> String {
    let mut svg = format!(
        "<svg class=\"histogram\" viewBox=\"0 0 {} 20\" preserveAspectRatio=\"none\">",
        5 * histogram.counts.len()
    );
    let heights = heights(histogram).into_iter().enumerate();
    for (bin, height) in heights.filter(|(_, height)| *height > 0.0) {
        let height = (20.0 * height).max(1.0);
        let (x, y) = (5 * bin, 20.0 - height);
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<rect x=\"{x}\" y=\"{y:.1}\" width=\"4\" height=\"{height:.1}\"/>"
        );
    }
    svg + "</svg>"
}

/// Adds the tables of what the network does on positions.
pub fn push_activity(page: &mut Page, activity: &Activity) {
    let found = &activity.found;
    let line = format!(
        "Loss {:.6} over {} positions ({}).",
        found.loss,
        HumanCount(found.positions),
        activity.objective_text()
    );
    page.text("", &line);
    page.push("<div class=\"columns\"><div><h3>Dead and saturated neurons</h3>");
    let rows = activity.neurons.iter().map(|neurons| {
        let Neurons { lanes, unused, .. } = neurons;
        let unused = match unused {
            0 => String::new(),
            unused => format!(" ({unused} unused)"),
        };
        vec![
            neurons.place.clone(),
            format!("{lanes}{unused}"),
            counted(&neurons.dead),
            counted(&neurons.mostly_dead),
            counted(&neurons.saturated),
            counted(&neurons.mostly_saturated),
        ]
    });
    let head = [
        "neurons",
        "lanes",
        "always 0",
        "0 for 99.9%",
        "always at T",
        "at T for 99.9%",
    ];
    page.table(&head, rows);
    push_named(page, &activity.neurons);
    page.push("</div><div><h3>Loss by number of pieces</h3>");
    let phases = activity.phases.iter().map(|phase| {
        let [first, last] = phase.pieces;
        (format!("{first} to {last}"), phase.positions, phase.loss)
    });
    push_groups(page, "pieces", phases.collect(), activity);
    page.push("</div>");
    if found.output_buckets.len() > 1 {
        page.push("<div><h3>Loss by output bucket</h3>");
        let buckets = found.output_buckets.iter().enumerate();
        let buckets = buckets.map(|(bucket, one)| (bucket.to_string(), one.positions, one.loss));
        push_groups(page, "bucket", buckets.collect(), activity);
        page.push("</div>");
    }
    if !found.king_buckets.is_empty() {
        page.push("<div><h3>King buckets</h3>");
        let rows = found
            .king_buckets
            .iter()
            .enumerate()
            .map(|(bucket, group)| {
                let [own, other] = [group.own, group.other].map(|count| activity.percent(count));
                vec![
                    bucket.to_string(),
                    format!("{own:.2}%"),
                    format!("{other:.2}%"),
                ]
            });
        page.table(&["bucket", "own king", "other king"], rows);
        page.push("</div>");
    }
    page.push("</div>");
}

/// Names the first dead and saturated lanes of the accumulators.
fn push_named(page: &mut Page, neurons: &[Neurons]) {
    for one in neurons {
        for (lanes, what) in [(&one.mostly_dead, "0"), (&one.mostly_saturated, "at T")] {
            if lanes.is_empty() {
                continue;
            }
            let named: Vec<_> = lanes.iter().take(NAMED).map(usize::to_string).collect();
            let more = match lanes.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let line = format!(
                "{}: {what} for 99.9% are {}{more}.",
                one.place,
                named.join(", ")
            );
            page.text("faint", &line);
        }
    }
}

/// A count of neurons.
fn counted(neurons: &[usize]) -> String {
    neurons.len().to_string()
}

/// Adds a table of groups: name, positions and loss.
fn push_groups(page: &mut Page, name: &str, groups: Vec<(String, u64, f64)>, activity: &Activity) {
    let highest = groups.iter().map(|group| group.2).fold(0.0, f64::max);
    let rows = groups.iter().map(|(name, positions, loss)| {
        let share = activity.percent(*positions);
        vec![
            name.clone(),
            HumanCount(*positions).to_string(),
            format!("{share:.2}%"),
            loss_text(*loss),
            bar(loss / highest),
        ]
    });
    page.table(&[name, "positions", "share", "loss", ""], rows);
}

/// A bar whose length is this share.
fn bar(share: f64) -> String {
    // A share that is not a number has no length.
    let percent = 100.0 * share.max(0.0);
    format!("<span class=\"bar\"><i style=\"width:{percent:.0}%\"></i></span>")
}

/// Adds the boards of the lanes with the largest weights.
pub fn push_boards(page: &mut Page, parameters: &Parameters) {
    let layer = FirstLayer::new(parameters);
    let accumulators = layer.accumulators();
    let drawn = (0..accumulators).map(|accumulator| {
        let mut lanes = layer.largest_lanes(accumulator)?;
        lanes.truncate(LANES);
        pictured(&layer, accumulator, &lanes)
    });
    page.heading("First layer by piece and square");
    let drawn = match drawn.collect::<wgrad::Result<Vec<_>>>() {
        Ok(drawn) => drawn,
        Err(error) => return page.text("note", &format!("No boards: {error}")),
    };
    page.text("faint", "The lanes with the largest weights, seen from their own side. Blue is above \
                        0 and brown below; full color is the number beside the lane. No pawn is on \
                        the gray squares. With king buckets, the weights are means over the buckets.");
    for (accumulator, lanes) in drawn.iter().enumerate() {
        if accumulators > 1 {
            let name = ["side to move", "other side"][accumulator];
            page.push(format_args!(
                "<h3>Accumulator of the {}</h3>",
                escaped(name)
            ));
        }
        let pictures = lanes.iter().map(|lane| {
            let words = format!("weights of lane {} by piece and square", lane.index);
            (words, lane.to_svg())
        });
        page.pictures("lanes", pictures);
    }
}
