//! Logistic regression over rows of features that are there or not, by Newton's method with a ridge.

use rayon::prelude::*;

/// One pair: the numbers of the features it has, and whether it is a match.
#[derive(Clone, Debug)]
pub struct Example {
    pub features: Vec<u16>,
    pub positive: bool,
}

/// The log odds of a match: one number a feature, the bias last.
#[derive(Clone, Debug, PartialEq)]
pub struct Model(Vec<f64>);

/// How strongly coefficients are drawn to zero: the square of a coefficient costs half of this.
const RIDGE: f64 = 3.0;
/// Newton steps at most; eight or so are enough.
const STEPS: usize = 40;
const CONVERGED: f64 = 1e-6;

impl Model {
    pub fn fit(examples: &[Example], features: usize) -> Self {
        let mut model = Self(vec![0.0; features + 1]);
        for _ in 0..STEPS {
            let (gradient, hessian) = model.derivatives(examples);
            let step = solve(hessian, gradient);
            let longest = step.iter().fold(0.0f64, |longest, part| longest.max(part.abs()));
            // far steps overshoot while the curvature still changes
            let scale = if longest > 4.0 { 4.0 / longest } else { 1.0 };
            model.0.iter_mut().zip(&step).for_each(|(coefficient, part)| *coefficient -= scale * part);
            if longest < CONVERGED {
                break;
            }
        }
        model
    }

    pub fn coefficient(&self, feature: u16) -> f64 {
        self.0[usize::from(feature)]
    }

    pub fn bias(&self) -> f64 {
        self.0.last().copied().unwrap_or_default()
    }

    /// The probability that an example is a match.
    pub fn probability(&self, features: &[u16]) -> f64 {
        let odds: f64 = features.iter().map(|feature| self.coefficient(*feature)).sum::<f64>() + self.bias();
        1.0 / (1.0 + (-odds).exp())
    }

    /// Gradient and Hessian of the penalised log loss.
    fn derivatives(&self, examples: &[Example]) -> (Vec<f64>, Vec<Vec<f64>>) {
        let size = self.0.len();
        let bias = u16::try_from(size - 1).expect("a schema has a few hundred features");
        let empty = || (vec![0.0; size], vec![vec![0.0; size]; size]);
        let add = |(mut gradient, mut hessian): (Vec<f64>, Vec<Vec<f64>>), example: &Example| {
            let p = self.probability(&example.features);
            let slope = p - f64::from(u8::from(example.positive));
            let curve = p * (1.0 - p);
            let all = || example.features.iter().copied().chain([bias]).map(usize::from);
            for one in all() {
                gradient[one] += slope;
                all().filter(|other| *other <= one).for_each(|other| hessian[one][other] += curve);
            }
            (gradient, hessian)
        };
        let sum = |(mut gradient, mut hessian): (Vec<f64>, Vec<Vec<f64>>),
                   (more, curves): (Vec<f64>, Vec<Vec<f64>>)| {
            gradient.iter_mut().zip(more).for_each(|(sum, part)| *sum += part);
            let rows = hessian.iter_mut().zip(curves);
            rows.for_each(|(row, curves)| row.iter_mut().zip(curves).for_each(|(sum, part)| *sum += part));
            (gradient, hessian)
        };
        let chunks: Vec<_> = examples.par_chunks(4096).map(|chunk| chunk.iter().fold(empty(), add)).collect();
        // in order, so that the same examples give the same model on any number of threads
        let (mut gradient, mut hessian) = chunks.into_iter().fold(empty(), sum);
        for at in 0..size {
            // the bias is what the share of matches makes it; a trace of ridge keeps the matrix regular
            let ridge = if at == size - 1 { 1e-9 } else { RIDGE };
            gradient[at] += ridge * self.0[at];
            hessian[at][at] += ridge;
        }
        (gradient, hessian)
    }
}

/// Solves `matrix · x = right` for a symmetric positive definite matrix of which the lower half is given (Cholesky).
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for column in 0..size {
        for row in column..size {
            let product: f64 = (0..column).map(|at| matrix[row][at] * matrix[column][at]).sum();
            let rest = matrix[row][column] - product;
            matrix[row][column] = if row == column { rest.max(1e-12).sqrt() } else { rest / matrix[column][column] };
        }
    }
    for row in 0..size {
        let known: f64 = (0..row).map(|at| matrix[row][at] * right[at]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    for row in (0..size).rev() {
        let known: f64 = (row + 1..size).map(|at| matrix[at][row] * right[at]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_equations_are_solved() {
        let x = solve(
            vec![vec![4.0], vec![2.0, 3.0], vec![1.0, 0.5, 5.0]]
                .into_iter()
                .map(|mut row| {
                    row.resize(3, 0.0);
                    row
                })
                .collect(),
            vec![11.0, 9.5, 17.0],
        );
        for (got, expect) in x.iter().zip([1.0, 2.0, 3.0]) {
            assert!((got - expect).abs() < 1e-9, "{x:?}");
        }
    }

    /// Two features with known log odds: the model finds them, and says their probabilities.
    #[test]
    fn a_known_model_is_found_again() {
        let odds =
            |features: &[u16]| -2.0 + features.iter().map(|feature| [3.0, -1.5][usize::from(*feature)]).sum::<f64>();
        let mut examples = Vec::new();
        for features in [vec![], vec![0], vec![1], vec![0, 1]] {
            let p = 1.0 / (1.0 + (-odds(&features)).exp());
            for (positive, share) in [(true, p), (false, 1.0 - p)] {
                let example = Example { features: features.clone(), positive };
                examples.extend(std::iter::repeat_n(example, (2e4 * share).round() as usize));
            }
        }
        let model = Model::fit(&examples, 2);
        assert!((model.coefficient(0) - 3.0).abs() < 0.01, "{model:?}");
        assert!((model.coefficient(1) + 1.5).abs() < 0.01 && (model.bias() + 2.0).abs() < 0.01, "{model:?}");
        assert!((model.probability(&[0]) - 1.0 / (1.0 + (-1.0f64).exp())).abs() < 1e-3);
    }
}
