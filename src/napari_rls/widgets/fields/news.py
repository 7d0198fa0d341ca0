"""What the threads of the dock tell."""

from napari_rls.widgets.fields.field_job import FieldNews
from napari_rls.widgets.fields.result_jobs import PsfNews, StatisticsNews, TableNews

News = FieldNews | TableNews | StatisticsNews | PsfNews
