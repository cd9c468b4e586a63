use super::*;

fn parse(text: &str) -> Schedule {
    text.parse().unwrap()
}

/// The learning rates of the periods of a stage.
fn rates(text: &str, start: f32, periods: u64) -> Vec<f32> {
    let schedule = parse(text);
    let rate = |period| {
        schedule.rate(
            start,
            Unit::Period,
            &Moment::of_period(period, periods),
            Warmup::NONE,
        )
    };
    (1..=periods).map(rate).collect()
}

#[test]
fn cosine_by_hand() {
    let rate =
        |step| Schedule::COSINE.rate(0.002, Unit::Step, &Moment::of_step(step, 4), Warmup::NONE);
    // ½(1 + cos) of 0, π/4, π/2, 3π/4 and π.
    let expected = [0.002, 0.001_707_106_8, 0.001, 0.000_292_893_2, 0.0];
    for (step, expected) in (1..).zip(expected) {
        let rate = rate(step);
        assert!((rate - expected).abs() < 1e-10, "step {step}: {rate}");
    }
    assert_eq!(rate(1), 0.002);
    assert_eq!(rate(99), 0.0);
}

#[test]
fn each_course_by_hand_per_period() {
    let cases: [(&str, [f32; 4]); 7] = [
        ("constant", [8.0, 8.0, 8.0, 8.0]),
        ("linear:4", [7.0, 6.0, 5.0, 4.0]),
        ("exponential:0.5", [4.0, 2.0, 1.0, 0.5]),
        ("step:0.5,2", [8.0, 8.0, 4.0, 4.0]),
        ("drop:0.25,3", [8.0, 8.0, 8.0, 2.0]),
        ("linear:4@2", [6.0, 4.0, 4.0, 4.0]),
        ("constant@1;linear:2@2;constant=1", [8.0, 5.0, 2.0, 1.0]),
    ];
    for (text, expected) in cases {
        assert_eq!(rates(text, 8.0, 4), expected, "{text}");
    }
    let cosine = rates("cosine:2", 10.0, 4);
    // 2 + 8·½(1 + cos) of π/4, π/2, 3π/4 and π.
    for (rate, expected) in cosine.iter().zip([8.828_427, 6.0, 3.171_573, 2.0]) {
        assert!((rate - expected).abs() < 1e-5, "{cosine:?}");
    }
}

#[test]
fn lambda_reaches_both_ends() {
    let share = |text: &str, period| {
        let moment = Moment::of_period(period, 5);
        parse(text).share(0.2, Unit::Period, &moment, Warmup::NONE)
    };
    let all = |text| {
        (1..=5)
            .map(|period| share(text, period))
            .collect::<Vec<_>>()
    };
    assert_eq!(all("linear:1"), [0.2, 0.4, 0.6, 0.8, 1.0]);
    assert_eq!(all("linear:0.6@3;constant"), [0.2, 0.4, 0.6, 0.6, 0.6]);
    let single = Moment::of_period(1, 1);
    assert_eq!(
        parse("linear:1").share(0.2, Unit::Period, &single, Warmup::NONE),
        0.2
    );
}

#[test]
fn a_piece_per_step_begins_where_the_one_before_ends() {
    let schedule = parse("constant@2;linear:0");
    let rate = |step| {
        let moment = Moment {
            step,
            steps: 40,
            period: (step - 1) / 10 + 1,
            periods: 4,
        };
        schedule.rate(1.0, Unit::Step, &moment, Warmup::NONE)
    };
    assert_eq!([1, 20, 21, 31].map(rate), [1.0, 1.0, 1.0, 0.5]);
    assert_eq!(rate(40), (1.0 / 20.0f64) as f32);
}

#[test]
fn warmups_rise_to_1() {
    let factors = |text: &str| {
        let warmup: Warmup = text.parse().unwrap();
        (1..=5).map(|step| warmup.factor(step)).collect::<Vec<_>>()
    };
    assert_eq!(factors("4"), [0.25, 0.5, 0.75, 1.0, 1.0]);
    assert_eq!(factors("harmonic:4"), [0.25, 1.0 / 3.0, 0.5, 1.0, 1.0]);
    assert_eq!(factors("0"), [1.0; 5]);
    let warmup = "harmonic:2".parse().unwrap();
    let moment = Moment::of_step(1, 9);
    assert_eq!(
        Schedule::CONSTANT.rate(0.3, Unit::Step, &moment, warmup),
        0.15
    );
}

#[test]
fn texts_parse_back() {
    for text in [
        "constant",
        "cosine",
        "cosine:0.00000243",
        "linear:0.6@600;constant",
        "step:0.1,18",
        "drop:0.3,60",
        "exponential:0.000001",
        "constant=0.001@10;cosine=0.0005:0.000001",
    ] {
        let schedule = parse(text);
        assert_eq!(schedule.to_string(), text);
        let json = serde_json::to_string(&schedule).unwrap();
        assert_eq!(json, format!("{text:?}"));
        assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), schedule);
    }
    assert_eq!(parse("cosine"), Schedule::COSINE);
    assert_eq!(parse(" step : 0.1, 18 "), parse("step:0.1,18"));
    for text in [
        "",
        "linear",
        "step:0.1",
        "cosine:x",
        "constant@x",
        "constant;",
        "rise:3",
    ] {
        let error = text.parse::<Schedule>().unwrap_err().to_string();
        assert!(
            error.starts_with("schedule: expected constant, linear:END"),
            "{error}"
        );
    }
    assert!("harmonic:x".parse::<Warmup>().is_err());
    assert_eq!("epoch".parse::<Unit>().unwrap(), Unit::Period);
}

#[test]
fn what_is_no_course_is_refused() {
    let cases = [
        ("linear:1@0;constant", "which ends before it begins"),
        ("constant;linear:1", "`@n`"),
        ("exponential:0", "above 0"),
        ("step:0.1,0", "`n` from 1"),
        ("linear:-1", "finite values from 0"),
        ("cosine:NaN", "finite values from 0"),
    ];
    for (text, words) in cases {
        let error = parse(text)
            .check("schedule", 0.1, Allowed::Rates)
            .unwrap_err();
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
    let error = parse("linear:1.5").check("lambda_schedule", 0.5, Allowed::Shares);
    assert!(error.unwrap_err().to_string().contains("from 0 to 1"));
    parse("step:0.1,18")
        .check("schedule", 0.1, Allowed::Rates)
        .unwrap();
}
