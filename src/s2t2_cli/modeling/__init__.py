"""The networks: encoder (`wav2vec2`), decoder (`speech2text2`), both joined (`speech_encoder_decoder`).

Parameter names are those of the published checkpoints, so loading is assignment by name.
"""
