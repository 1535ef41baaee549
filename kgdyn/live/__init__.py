"""Following frames as they come: states, running statistics, and where they are written."""

from kgdyn.live.callback_sink import CallbackSink
from kgdyn.live.frame_assigner import FrameAssigner
from kgdyn.live.live_analysis import LiveAnalysis
from kgdyn.live.recorded_states import RecordedStates, read_states
from kgdyn.live.states_file import StatesFile
from kgdyn.live.states_table import StatesTable
from kgdyn.live.stream import LiveFrame, LiveStates, Sink, StreamInfo
from kgdyn.live.tensorboard_states import TensorBoardStates

__all__ = [
    "CallbackSink",
    "FrameAssigner",
    "LiveAnalysis",
    "LiveFrame",
    "LiveStates",
    "RecordedStates",
    "Sink",
    "StatesFile",
    "StatesTable",
    "StreamInfo",
    "TensorBoardStates",
    "read_states",
]
