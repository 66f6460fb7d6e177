//! Tests of tick labels and of the drawn elements.

use super::{scale::Scale, *};

fn chart(x: Axis, points: &[(f64, f64)]) -> Chart {
    let series = vec![Series::new("a<b", points.to_vec(), Colour(1, 2, 3))];
    Chart {
        title: Some("title".into()),
        size: (640, 440),
        x,
        y: Axis::linear("y"),
        series,
        legend: Legend::LowerRight,
    }
}

/// Horizontal position, anchor and content of each text.
fn texts(svg: &str) -> Vec<(f64, String, String)> {
    let attribute = |tag: &str, name: &str| {
        let value = tag.split(&format!(" {name}=\"")).nth(1).expect("an attribute");
        value.split('"').next().unwrap().to_owned()
    };
    let text = |element: &str| {
        let (tag, content) = element.split_once(">\n").unwrap();
        let x = attribute(tag, "x").parse().unwrap();
        (x, attribute(tag, "text-anchor"), content.split("\n</text>").next().unwrap().to_owned())
    };
    svg.split("<text").skip(1).map(text).collect()
}

/// The labels of the x-axis with the pixels that each takes in a common font, 0.6 of its size per character.
fn x_labels(svg: &str) -> Vec<(f64, f64, String)> {
    let numbers = texts(svg).into_iter().filter(|(_, anchor, text)| {
        anchor == "middle" && text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
    });
    numbers.map(|(x, _, text)| (x, text.len() as f64 * 0.6 * 15.0, text)).collect()
}

#[test]
fn labels_of_the_x_axis_do_not_overlap() {
    let ranges = [
        (80.0, 60_000.0),
        (4_000.0, 25_000.0),
        (5_000.0, 20_000.0),
        (300.0, 3_000.0),
        (90.0, 110.0),
        (99_999.0, 100_001.0),
        (0.001, 1e9),
        (1e-290, 1e290),
        (1e289, 1e290),
        (1e-290, 1e-289),
    ];
    for (first, last) in ranges {
        for axis in [Axis::logarithmic("x"), Axis::linear("x")] {
            let svg = draw(&chart(axis.clone(), &[(first, 1.0), (last, 2.0)])).unwrap();
            let labels = x_labels(&svg);
            assert!((2..=14).contains(&labels.len()), "{first} to {last}: {labels:?}");
            for pair in labels.windows(2) {
                let space = pair[1].0 - pair[0].0 - (pair[0].1 + pair[1].1) / 2.0;
                assert!(space > 8.0, "{first} to {last}: {labels:?}");
            }
            let (x, width, _) = labels.last().unwrap();
            assert!(x + width / 2.0 <= 640.0, "cut off at the right edge: {labels:?}");
        }
    }
}

#[test]
fn labels_are_round_and_short() {
    let labels = |axis: Axis, length: f64| {
        let scale = Scale::new(&axis, std::iter::empty()).unwrap();
        let ticks = scale.ticks(length, 10.0, |label| label.len() as f64 * 10.0);
        ticks.into_iter().map(|tick| tick.label).collect::<Vec<_>>().join(" ")
    };
    let logarithmic = |first, last| Axis::logarithmic("").with_range(first, last);
    let linear = |first, last| Axis::linear("").with_range(first, last);
    assert_eq!(labels(logarithmic(80.0, 60_000.0), 550.0), "100 200 500 1k 2k 5k 10k 20k 50k");
    assert_eq!(labels(logarithmic(80.0, 60_000.0), 300.0), "100 1k 10k");
    assert_eq!(labels(logarithmic(4_000.0, 25_000.0), 550.0), "5k 7k 10k 15k 20k");
    assert_eq!(labels(logarithmic(0.004, 0.03), 550.0), "0.005 0.007 0.01 0.015 0.02 0.03");
    assert_eq!(labels(logarithmic(95.0, 105.0), 300.0), "96 98 100 102 104");
    assert_eq!(labels(logarithmic(1e-9, 1e21), 300.0), "1e-5 1 100k 1e10 1e15 1e20");
    assert_eq!(labels(linear(0.0, 121.0), 300.0), "0 20 40 60 80 100 120");
    assert_eq!(labels(linear(0.0, 2_000.0), 300.0), "0 500 1k 1.5k 2k");
    assert_eq!(labels(linear(-0.1, 0.12), 300.0), "-0.10 -0.05 0.00 0.05 0.10");
    assert_eq!(labels(linear(1_000.0, 1_000.4), 300.0), "1000.0 1000.1 1000.2 1000.3 1000.4");
    assert_eq!(labels(linear(0.0, 3e6), 300.0), "0 500k 1M 1.5M 2M 2.5M 3M");
    assert_eq!(labels(linear(0.5, 0.9), 5.0), "0.5", "room for one label");
}

#[test]
fn text_is_escaped_and_each_series_is_drawn() {
    let mut one = chart(Axis::linear("x"), &[(0.0, 0.0), (1.0, 1.0)]);
    let marked = [Marker::Disc, Marker::Triangle, Marker::Circle, Marker::Cross].map(|marker| Series {
        marker: Some(marker),
        dashed: marker == Marker::Cross,
        ..one.series[0].clone()
    });
    one.series.extend(marked);
    for legend in [Legend::None, Legend::UpperRight, Legend::LowerRight] {
        let svg = draw(&Chart { legend, ..one.clone() }).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        let names = texts(&svg).iter().filter(|(_, _, text)| text == "a&lt;b").count();
        assert_eq!(names, if legend == Legend::None { 0 } else { 5 });
        assert!(texts(&svg).iter().any(|(_, _, text)| text == "title"));
        assert!(svg.matches("stroke=\"#010203\"").count() > 5);
    }
    let row = draw_row(&[one.clone(), one]).unwrap();
    assert!(row.contains("width=\"1280\""));
    let names: Vec<f64> =
        texts(&row).iter().filter(|(_, _, text)| text == "a&lt;b").map(|text| text.0).collect();
    assert!(names.len() == 5 && names.is_sorted(), "one legend: {names:?}");
}

#[test]
fn points_that_an_axis_cannot_show_are_left_out() {
    let good = [(1.0, 1.0), (10.0, 2.0)];
    let bad = [(0.0, 7.0), (-1.0, 3.0), (f64::NAN, 1.0), (5.0, f64::INFINITY), (f64::INFINITY, 2.0)];
    let all: Vec<_> = [good[0]].into_iter().chain(bad).chain([good[1]]).collect();
    let draw_points = |points: &[(f64, f64)]| draw(&chart(Axis::logarithmic("x"), points)).unwrap();
    assert_eq!(draw_points(&all), draw_points(&good));
    for none in [&[][..], &bad] {
        assert!(draw_points(none).contains("\nno data\n"));
    }
    let axis = Axis::logarithmic("x").with_range(2.0, 9.0);
    assert!(draw(&chart(axis, &good)).unwrap().contains("\nno data\n"), "outside of the range");
    assert!(!draw_points(&good[..1]).contains("no data"), "one point");
    assert!(draw_row(&[]).is_ok());
}

#[test]
fn impossible_ranges_are_errors() {
    let points = [(1.0, 1.0)];
    for axis in [
        Axis::linear("x").with_range(1.0, 1.0),
        Axis::linear("x").with_range(2.0, 1.0),
        Axis::linear("x").with_range(f64::NAN, 1.0),
        Axis::linear("x").with_range(0.0, f64::INFINITY),
        Axis::logarithmic("x").with_range(0.0, 1.0),
    ] {
        assert!(draw(&chart(axis.clone(), &points)).is_err(), "{axis:?}");
    }
}
