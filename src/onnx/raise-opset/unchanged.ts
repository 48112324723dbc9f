/**
 * Operators of the standard domain that mean the same from opset 7 to 21, or since they came: later versions only take
 * more types, or have new attributes whose default is the old behaviour.
 */
export const UNCHANGED: ReadonlySet<string> = new Set(
  (
    "Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BitShift BitwiseAnd BitwiseNot BitwiseOr " +
    "BitwiseXor Cast CastLike Ceil Celu Compress Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos " +
    "Cosh CumSum DepthToSpace DequantizeLinear Det Div DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike " +
    "Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater " +
    "GreaterOrEqual HardSigmoid HardSwish Identity If InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization " +
    "LeakyRelu Less LessOrEqual Log Loop LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxRoiPool MaxUnpool " +
    "Mean MeanVarianceNormalization Min Mish Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or PRelu Pow " +
    "QLinearConv QLinearMatMul QuantizeLinear RNN Range Reciprocal Relu Reshape ReverseSequence Round Scan ScatterElements " +
    "ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Softplus Softsign SpaceToDepth Sqrt Sub Sum Tan Tanh " +
    "ThresholdedRelu Tile Transpose Trilu Where Xor"
  ).split(" "),
);
