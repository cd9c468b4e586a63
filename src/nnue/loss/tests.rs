use super::*;

#[test]
fn positions_are_choices() {
    for (position, link) in Link::ALL.into_iter().enumerate() {
        assert_eq!(link as usize, position);
    }
}

/// Losses of every form.
fn losses() -> Vec<Loss> {
    let model = WinRate {
        scale: 400.0,
        offset: 200.0,
        scaling: 300.0,
    };
    vec![
        Loss::MSE,
        Loss::SIGMOID_MSE,
        Loss::new(Link::Identity, 2.5).asymmetry(0.3),
        Loss::new(Link::Sigmoid, 2.5),
        Loss::new(Link::Sigmoid, 1.0).asymmetry(-0.5),
        Loss::new(Link::Sigmoid, 2.6).asymmetry(0.2),
        Loss::CROSS_ENTROPY,
        Loss::WIN_RATE,
        Loss::WIN_RATE.power(2.5).asymmetry(0.1),
        Loss::SIGMOID_MSE.win_rate(model),
    ]
}

/// The gradient is the difference quotient of the value, and both number types agree.
#[test]
fn gradient_and_value_agree() {
    for loss in losses() {
        loss.check().unwrap();
        for (y, target) in [
            (0.3, 0.9),
            (-1.2, 0.1),
            (2.0, 0.25),
            (-3.0, 1.0),
            (0.7, 0.0),
        ] {
            let value = |y: f64| loss.term(y, target, 0.5).value;
            let step = 1e-6;
            let quotient = (value(y + step) - value(y - step)) / (2.0 * step);
            let term = loss.term(y, target, 0.5);
            approx::assert_relative_eq!(term.gradient, quotient, max_relative = 1e-6);
            let numbers = loss.numbers(1, true);
            let rounded = numbers.term_f32(loss.link, y as f32, target as f32, 0.5);
            let [value, gradient] = [rounded.value, rounded.gradient].map(f64::from);
            approx::assert_relative_eq!(value, term.value, max_relative = 1e-5);
            approx::assert_relative_eq!(gradient, term.gradient, max_relative = 1e-5);
        }
    }
}

#[test]
fn values_by_hand() {
    let close = |found: f64, expected: f64| {
        approx::assert_relative_eq!(found, expected, max_relative = 1e-7);
    };
    // ln 2 for P = ½, whatever the target; (P − t)/L.
    let term = Loss::CROSS_ENTROPY.term(0.0, 0.25, 0.5);
    close(term.value, 0.5 * std::f64::consts::LN_2);
    close(term.gradient, 0.125);
    // The entropy of the target stays in the value: P = t = σ(1).
    let t = Link::Sigmoid.apply(1.0).0;
    let term = Loss::CROSS_ENTROPY.term(1.0, t, 1.0);
    close(term.value, -t * t.ln() - (1.0 - t) * (1.0 - t).ln());
    assert!(term.gradient.abs() < 1e-12);
    // Above the target a term counts 1 + a times.
    let loss = Loss::MSE.asymmetry(0.5);
    close(loss.term(3.0, 1.0, 1.0).value, 6.0);
    close(loss.term(3.0, 1.0, 1.0).gradient, 6.0);
    close(loss.term(-1.0, 1.0, 1.0).value, 4.0);
    // At Y = 0 a win and a loss are as likely. At 270 centipawns, σ(0) of the games are won and
    // σ(−540/340) are lost.
    close(Loss::WIN_RATE.predict(0.0).0, 0.5);
    let lost = Link::Sigmoid.apply(-540.0 / 340.0).0;
    close(Loss::WIN_RATE.predict(270.0 / 600.0).0, 0.5 * (1.5 - lost));
    close(WinRate::STOCKFISH.of_score(270.0), 0.5 * (1.5 - lost));
    // Without an offset a win rate is σ of the score ÷ k.
    let model = WinRate {
        scale: 400.0,
        offset: 0.0,
        scaling: 400.0,
    };
    let y = 0.3f64;
    assert_eq!(
        Loss::SIGMOID_MSE.win_rate(model).predict(y),
        Loss::SIGMOID_MSE.predict(y)
    );
}

#[test]
fn names_and_files() {
    for name in ["mse", "sigmoid_mse", "cross_entropy", "win_rate"] {
        assert_eq!(name.parse::<Loss>().unwrap().name(), name);
    }
    let error = "bce".parse::<Loss>().unwrap_err().to_string();
    assert_eq!(
        error,
        "loss: expected mse, sigmoid_mse, cross_entropy or win_rate, found \"bce\""
    );
    let old = r#"{"link":"sigmoid","power":2.5}"#;
    let loss: Loss = serde_json::from_str(old).unwrap();
    assert_eq!(loss, Loss::new(Link::Sigmoid, 2.5));
    assert_eq!(serde_json::to_string(&loss).unwrap(), old);
    for loss in losses() {
        let text = serde_json::to_string(&loss).unwrap();
        assert_eq!(serde_json::from_str::<Loss>(&text).unwrap(), loss, "{text}");
    }
}

#[test]
fn what_is_no_loss_is_named() {
    let refused = [
        ("power", Loss::MSE.power(0.5)),
        ("asymmetry", Loss::MSE.asymmetry(-1.0)),
        ("asymmetry", Loss::MSE.asymmetry(f32::NAN)),
        ("cross-entropy", Loss::CROSS_ENTROPY.asymmetry(0.1)),
        (
            "cross-entropy",
            Loss::CROSS_ENTROPY.win_rate(WinRate::STOCKFISH),
        ),
        (
            "link of a win rate",
            Loss {
                link: Link::Identity,
                ..Loss::WIN_RATE
            },
        ),
        (
            "scaling",
            Loss::WIN_RATE.win_rate(WinRate {
                scaling: 0.0,
                ..WinRate::STOCKFISH
            }),
        ),
        (
            "offset",
            Loss::WIN_RATE.win_rate(WinRate {
                offset: f32::NAN,
                ..WinRate::STOCKFISH
            }),
        ),
    ];
    for (name, loss) in refused {
        let error = loss.check().unwrap_err().to_string();
        assert!(error.contains(name), "no {name:?} in: {error}");
    }
}
